"""Where engine calls and jobs run.

process_pool            embedded engines: child processes that do one call each
gpu_worker, device      networks: one child process that owns a device and does many calls at once
child_keeper            what both are made of, in the service
child, child_process    the child's side, and the child as the service holds it
engines                 the ports of the domain over either of them
fleet                   the same ports over the workers of other processes
job_worker              the loop that takes jobs, or calls, from the queue
"""
