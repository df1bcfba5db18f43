"""What is done about jobs: taken, queued, done under a lease, ended, told of."""
