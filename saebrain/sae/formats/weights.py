"""Weights as they lie in a file: read without running any code, and checked one by one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from saebrain.errors import InputError


class Tensors:
    """The tensors of one file. Each is taken once, under its name and with its shape; none may be left over.

    Parameters
    ----------
    path, config : Path
        The file of weights, and the one that says which shapes they have.
    """

    def __init__(self, path: Path, config: Path, tensors: dict[str, Tensor]) -> None:
        self.path = path
        self.config = config
        self._tensors = tensors

    @classmethod
    def load(cls, path: Path, config: Path) -> Tensors:
        """Read a ``.safetensors`` file, or a pickled state dict (``.pt``) of nothing but tensors.

        Raises
        ------
        InputError
            If the file is missing or damaged, or a pickle holds anything that is not a tensor.
        """
        try:
            tensors = _unpickled(path) if path.suffix == ".pt" else load_file(path)
        except (SafetensorError, OSError, EOFError, RuntimeError) as error:
            first = str(error).split("\n", 1)[0]
            raise InputError(f"{path}: weights cannot be read ({first}); restore the file or train the SAE again") from error
        return cls(path, config, tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    @property
    def names(self) -> list[str]:
        """Those not yet taken."""
        return sorted(self._tensors)

    def take(self, name: str, *shape: int) -> Tensor:
        """Weights in float32.

        Raises
        ------
        InputError
            If they are missing, have another shape, or hold NaN or infinite values.
        """
        found = self._tensors.pop(name, None)
        received = "nothing" if found is None else tuple(found.shape)
        if found is None or received != shape:
            transposed = ", transposed" if received == shape[::-1] else ""
            raise InputError(
                f"{self.path}: {name} should be {shape} by {self.config.name}, received {received}{transposed}; "
                f"weights and {self.config.name} do not belong together"
            )
        values = found.float()
        if not bool(torch.isfinite(values).all()):
            raise InputError(f"{self.path}: {name} holds NaN or infinite values; restore the file or train the SAE again")
        return values

    def scalar(self, name: str) -> float:
        """A single number."""
        found = self._tensors.get(name)
        if found is not None and found.numel() == 1:
            self._tensors[name] = found.reshape(())
        return float(self.take(name))

    def whole(self, name: str) -> list[int]:
        """Positive whole numbers, in a vector."""
        found = self._tensors.pop(name)
        values = found.flatten().tolist()
        if not values or not all(float(value).is_integer() and value >= 1 for value in values):
            raise InputError(f"{self.path}: {name} = {values!r:.80} are no positive whole numbers; restore the file or train the SAE again")
        return [int(value) for value in values]

    def drop(self, matches: Callable[[str], bool]) -> None:
        """Leave out tensors that do not bear on codes or reconstructions."""
        self._tensors = {name: tensor for name, tensor in self._tensors.items() if not matches(name)}

    def finish(self, architecture: str) -> None:
        """Refuse weights that nothing has been made of: the SAE is not what its config says."""
        if self._tensors:
            raise InputError(
                f"{self.path}: holds {', '.join(self.names)}, which no {architecture} SAE has; "
                f"check what {self.config.name} says of the architecture, or convert the SAE with the library that made it"
            )


def _unpickled(path: Path) -> dict[str, Tensor]:
    """A state dict; only tensors are made of a pickle, nothing in it is run."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: refused, as this pickle holds more than tensors, or is damaged, and loading it could run code of its maker; "
            "save the state dict alone, with torch.save(sae.state_dict(), ...), where you trust the file"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()):
        raise InputError(f"{path}: holds a {type(content).__name__} that is no state dict; save sae.state_dict() instead")
    return dict(content)
