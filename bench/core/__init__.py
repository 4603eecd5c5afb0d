"""What every scenario needs: schedule, pairing, statistics, histograms, gates, child processes, machine, report.

Knows no scenario, no server and no client.
"""
