//! A simulated world around nodes and clients: network, disks, clocks, faults, checks, history.
