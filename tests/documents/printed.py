"""What each document prints to the letter: command lines, keys, flags, functions, names of files."""

from __future__ import annotations

import re
from typing import Any

import yaml

FENCE = re.compile(r"^ *```([a-z]*)[^\n]*\n(.*?)^ *```", flags=re.MULTILINE | re.DOTALL)


def printed_by_nenya(text: str) -> set[str]:
    """Keys, imports, calls of its functions, datasets and names of files."""
    calls = set(re.findall(r"(?<![\w.])((?:params\.|losses\.)?\w*[a-z]\w*)\(", text))
    found = calls - {"len"} | set(re.findall(r"^\s*(from nenya.*?)\s*$", text, re.MULTILINE))
    for pattern in (
        r'^\s*"(\w+)":',
        r"create_dataset\('(\w+)'",
        r"f'([^']+)'",
        r"opt\.(cuda\w+)",
        r"= (torch\.nn\.\w+)\(",
    ):
        found |= set(re.findall(pattern, text, re.MULTILINE))
    return found


def printed_by_darts(text: str) -> set[str]:
    """Commands and their options, functions, both files, and every name in the pictures of folders."""
    found = set(re.findall(r"^::: (\S+)", re.sub(r"^ +", "", text, flags=re.MULTILINE), re.MULTILINE))
    found |= set(re.findall(r"`(--[\w-]+|\{[^`]+)`", text))
    for language, block in FENCE.findall(text):
        found |= set(re.findall(r"[├└]── (\S+)", block))
        if language == "sh":
            found |= set(re.findall(r"\b(darts [a-z][\w-]+)", block))
            found |= {flag for flag in re.findall(r"(--[a-z][\w-]+)", block) if flag != "--your-args-here"}
        if language == "toml":
            found |= {
                one for pair in re.findall(r"^([\w-]+) = |^ +'(\w+)',", block, re.MULTILINE) for one in pair if one
            }
        if language == "yaml":
            found |= {str(one) for one in _leaves(yaml.safe_load(block)) if isinstance(one, str)}
    return found - {"planet-tcvis-large"}  # a name of one's own


def printed_by_spectraleye(text: str) -> set[str]:
    """Command lines, keys of files, imports and calls, sizes, and every name in the picture of folders."""
    found = set(re.findall(r"^\| \**(mae_\w+)", text, re.MULTILINE)) | set(re.findall(r"`([\w.]+=[^`\n]+)`", text))
    found |= set(re.findall(r"^#+ `([^`]+)`", text, re.MULTILINE))
    for language, block in FENCE.findall(text):
        lines = [line.strip() for line in block.splitlines()]
        found |= set(re.findall(r"[├└]── (\S+)", block))
        if language == "bash":
            found |= {line for line in lines if line and not line.startswith("#")}
        if language == "yaml":
            found |= {str(one) for one in _keys(yaml.safe_load(block))} | set(re.findall(r"_target_: (\S+)", block))
        if language == "python":
            found |= {line for line in lines if line.startswith("from ")} | set(re.findall(r"= (\w+)\(", block))
    return found


def printed_by_the_unet(text: str) -> set[str]:
    """Flags, command lines, the lines of code that it shows, and the names in its pictures of folders."""
    found = set(re.findall(r"(?:^\s+|`)(--\w+)", text, re.MULTILINE)) | {"-h", "--help"}
    for _, block in FENCE.findall(text):
        lines = [line.strip() for line in block.splitlines()]
        found |= {line for line in lines if line.startswith(("python3", "export"))}
        found |= set(re.findall(r'(parser\.add_argument\("--\w+")', block))
        found |= {line for line in lines if re.match(r"\w+ = \w+\[~np", line)}
        found |= {line.removeprefix("- ") for line in lines if re.match(r"- \w+\.npy$|/\w+$", line)}
    return found


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *(one for item in value.values() for one in _leaves(item))]
    return [one for item in value for one in _leaves(item)] if isinstance(value, list) else [value]


def _keys(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *(one for item in value.values() for one in _keys(item))]
    return [one for item in value for one in _keys(item)] if isinstance(value, list) else []


PRINTED = {
    # file of the list -> what finds it in the text
    "contrastive": printed_by_nenya,
    "contrastive_older": printed_by_nenya,
    "segmentation_sweep": printed_by_darts,
    "spectral_mae": printed_by_spectraleye,
    "sparse_regression": printed_by_the_unet,
}
