"""The ``_target_`` values and class paths printed in the documents of the four systems, and the parts they mean here.

The table is all there is: no other text in a configuration ever names something to import.
"""

from __future__ import annotations

TARGETS: dict[str, tuple[str, str]] = {
    "nenya.models.resnet_big.SupConResNet": ("model", "supcon_resnet"),
    "nenya.losses.SupConLoss": ("loss", "supcon"),
}
"""Printed path -> (group, name)."""
