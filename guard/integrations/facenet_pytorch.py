"""facenet-pytorch: the network that makes 512 numbers of a face, or classifies it. `MTCNN` finds faces and passes."""

from __future__ import annotations

from guard.integrations.hooks import Adapter, Hook
from guard.integrations.local import carrying

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="facenet_pytorch",
    distributions=("facenet-pytorch",),
    supported=">=2.5,<3",
    hooks=(
        Hook(
            "facenet_pytorch.models.inception_resnet_v1",
            "InceptionResnetV1.forward",
            carrying("facenet_pytorch.InceptionResnetV1"),
        ),
    ),
    note="tried with a stand-in of the class; a model exported to TorchScript is not seen",
)
