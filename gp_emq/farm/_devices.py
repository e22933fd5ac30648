"""Which devices there are, and which of them a run may use side by side."""

import re

from gp_emq.errors import GpEmqError


def choose_devices(text: str, *, remote: bool = False) -> tuple[str, ...]:
    """Read a list of devices.

    All of them have to be of one kind, since results may differ in their last digits between
    kinds, and must not depend on who did what.

    Args:
        text: ``auto`` for the GPUs of the first one's kind, or the CPU where there is none;
            ``cpu``; or GPUs as in ``cuda:0,cuda:1``.
        remote: Whether they are other machines' devices, which cannot be looked up here; then
            ``auto`` is the CPU.

    Returns:
        Names as torch has them.

    Raises:
        GpEmqError: A device is unknown, or they are of different kinds.
    """
    kinds = {} if remote else _kinds()
    if text == "auto":
        gpus = [name for name in kinds if name != "cpu"]
        return tuple(name for name in gpus if kinds[name] == kinds[gpus[0]]) or ("cpu",)
    devices = tuple(text.split(","))
    for device in devices:
        if device not in kinds and not (remote and re.fullmatch(r"cpu|cuda:\d+", device)):
            available = ", ".join(kinds) or "cpu, cuda:0, cuda:1 and so on"
            raise GpEmqError(f"unknown device {device!r}; available are {available}")
    used = sorted({kinds.get(device, device.split(":")[0]) for device in devices})
    if len(used) > 1:
        raise GpEmqError(
            f"devices must be of one kind, so that no result depends on which of them did what; "
            f"{text!r} names {' and '.join(used)}"
        )
    return devices


def _kinds() -> dict[str, str]:
    """Give what kind each device of this machine is, the CPU first."""
    import torch  # noqa: PLC0415 - workers import this package, and may do without torch

    gpus = range(torch.cuda.device_count())
    return {"cpu": "cpu", **{f"cuda:{i}": torch.cuda.get_device_name(i) for i in gpus}}
