"""What every room stands on: time, errors, ids, the database, the bus, settings, the data directory, logs."""
