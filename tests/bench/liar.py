"""A server that is fast and wrong: it says that a change was made, and sends other bytes."""

from bench.core.corpus import Resource
from bench.servers.empty import Floor, main


class Wrong:
    def __init__(self, right):
        self._right = right
        self.initial = right.initial

    def changed(self, resource, sequence):
        right = self._right.changed(resource, sequence)
        return Resource(right.type_url, right.name, right.body + b"\x0a\x05other")


class Liar(Floor):
    def __init__(self, config):
        super().__init__(config)
        self._corpus = Wrong(self._corpus)


if __name__ == "__main__":
    main(Liar)
