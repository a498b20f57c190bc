"""The trees of a LightGBM booster as an ONNX model, with nothing rounded.

The usual converters store thresholds as 32-bit floats: one that is rounded up past a value sends that value the wrong way, and
an unknown input (nan) does not follow LightGBM's default direction everywhere; scores were off by up to 5e-4. `ai.onnx.ml` 3 has
64-bit attributes, so thresholds and leaves are kept as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import lightgbm
import onnx
from onnx import TensorProto, helper

_OPSETS: Final = {"": 15, "ai.onnx.ml": 3}


@dataclass
class _Nodes:
    tree: list[int] = field(default_factory=list)
    node: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    mode: list[str] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    yes: list[int] = field(default_factory=list)
    no: list[int] = field(default_factory=list)
    unknown_is_yes: list[int] = field(default_factory=list)
    leaf_tree: list[int] = field(default_factory=list)
    leaf_node: list[int] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)

    def add(self, tree: int, structure: dict[str, Any], number: int) -> int:
        """Take a (sub)tree whose root gets `number`; gives the next free number."""
        split = "split_feature" in structure
        if split and (structure["decision_type"] != "<=" or structure["missing_type"] == "Zero"):
            raise ValueError(f"a split of kind {structure['decision_type']}, missing {structure['missing_type']}")
        place = len(self.node)
        self.tree.append(tree)
        self.node.append(number)
        self.feature.append(structure.get("split_feature", 0))
        self.mode.append("BRANCH_LEQ" if split else "LEAF")
        self.value.append(structure.get("threshold", 0.0))
        self.yes.append(0)
        self.no.append(0)
        # Where LightGBM saw no unknown value in training it takes an unknown one for 0.
        default = structure["default_left"] if structure.get("missing_type") == "NaN" else self.value[-1] >= 0
        self.unknown_is_yes.append(int(split and default))
        if not split:
            self.leaf_tree.append(tree)
            self.leaf_node.append(number)
            self.weight.append(structure["leaf_value"])
            return number + 1
        self.yes[place] = number + 1
        self.no[place] = self.add(tree, structure["left_child"], number + 1)
        return self.add(tree, structure["right_child"], self.no[place])


def onnx_form(booster: lightgbm.Booster) -> bytes:
    """Input `features`: float64 (rows, features), nan where not known; output `margin`: float32 (rows, 1), log-odds."""
    nodes = _Nodes()
    for number, tree in enumerate(booster.dump_model()["tree_info"]):
        nodes.add(number, tree["tree_structure"], 0)
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["margin"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=nodes.tree,
        nodes_nodeids=nodes.node,
        nodes_featureids=nodes.feature,
        nodes_modes=nodes.mode,
        nodes_values_as_tensor=helper.make_tensor("values", TensorProto.DOUBLE, [len(nodes.value)], nodes.value),
        nodes_truenodeids=nodes.yes,
        nodes_falsenodeids=nodes.no,
        nodes_missing_value_tracks_true=nodes.unknown_is_yes,
        target_treeids=nodes.leaf_tree,
        target_nodeids=nodes.leaf_node,
        target_ids=[0] * len(nodes.weight),
        target_weights_as_tensor=helper.make_tensor("weights", TensorProto.DOUBLE, [len(nodes.weight)], nodes.weight),
    )
    graph = helper.make_graph(
        [ensemble],
        "weir_fraud",
        [helper.make_tensor_value_info("features", TensorProto.DOUBLE, [None, booster.num_feature()])],
        [helper.make_tensor_value_info("margin", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="weir", ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
