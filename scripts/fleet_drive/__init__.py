"""What `bench_fleet.py` and `simulate.py --fleet` have in common: a fleet, its agent, its clients."""
