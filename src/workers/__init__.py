"""Where engine calls and jobs run: child processes, threads that own a device, and the loop that takes jobs from the
queue.
"""
