"""What holds for every test: a property has no deadline, since a busy machine is no fault of the property."""

from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
