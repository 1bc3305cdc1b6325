"""What can go wrong in the simulator."""

from commonview.foundation.errors import CommonviewError


class SimulatorError(CommonviewError):
    """Root of what the simulator raises on purpose; its message is fit for the person at the terminal."""

    default_code = "simulator_failed"


class SimulatorExtraMissing(SimulatorError):
    """PyAV, numpy or Pillow is not installed."""

    default_code = "simulator_extra_missing"

    def __init__(self, module: str) -> None:
        super().__init__(
            f"{module} is not installed; simulated cameras need: pip install commonview[simulator]"
        )
        self.module = module


class SourceError(SimulatorError):
    """A video file that cannot be read, or holds no video."""

    default_code = "source_unusable"
