"""Rules' expressions in CEL (cel.dev), checked against what a payment has, and evaluated by Google's runtime.

What an expression sees: `score`, `amount` (double), `currency`, `country`, `billing_country`, `shipping_country`, `kind` (string, empty if
not known), `declined` (bool), `hour` (int, UTC), `degraded` (list of names, empty if nothing failed), and `features`, with one typed
member a feature of the catalogue. An unknown number is
absent: `has(features.user_payment_sum_1h)` asks, and reading it is an error, not a zero.

Work is bounded before anything is evaluated: the text's length; 32 levels of nesting (the runtime's own limit); no macros but `has`, so
no loops; no regular expressions; no `dyn`, which would put off type errors until a shopper waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, wrappers_pb2

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.policy import MAX_EXPRESSION_CHARACTERS
from weir_fraud.domain.policy_facts import TEXTS
from weir_fraud.domain.policy_judgement import Bound, Condition, ConditionFailed, Facts
from weir_fraud.ports import ConditionFault

_PACKAGE: Final = "weir.fraud.policy"
_FEATURES: Final = "Features"
_LIBRARY: Final = """
name: policy
stdlib:
  exclude_macros: [all, exists, exists_one, filter, map]
  exclude_functions:
    - name: matches
    - name: dyn
"""
_FAULT: Final = re.compile(r"<input>:(?P<line>-?\d+):(?P<column>-?\d+): (?P<what>.*)")
_MIXED_NUMBERS: Final = re.compile(r"\((?:wrapper\()?double\)?, int\)|\(int, (?:wrapper\()?double\)?\)")
_LOOP: Final = re.compile(r"\.\s*(?:all|exists|exists_one|filter|map)\s*\(")
_TOO_DEEP: Final = "recursion"


class CelConditions:
    """See `Conditions`. Made once; takes about a millisecond. May be shared by threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        pool, self._features = _features_message(catalogue.names())
        variables = dict.fromkeys(TEXTS, cel.Type.STRING) | {
            "score": cel.Type.DOUBLE,
            "amount": cel.Type.DOUBLE,
            "declined": cel.Type.BOOL,
            "hour": cel.Type.INT,
            "degraded": cel.Type.List(cel.Type.STRING),
            "features": cel.Type(f"{_PACKAGE}.{_FEATURES}"),
        }
        self._environment = cel.NewEnv(pool, config=cel.NewEnvConfigFromYaml(_LIBRARY), variables=variables)
        self._known = frozenset(catalogue.names())

    def compile(self, expression: str) -> Condition | ConditionFault:
        """The condition, or what is wrong with the text."""
        if len(expression) > MAX_EXPRESSION_CHARACTERS:
            return ConditionFault(1, MAX_EXPRESSION_CHARACTERS + 1, "the expression is too long")
        try:
            program = self._environment.compile(expression)
        except (RuntimeError, ValueError, TypeError) as error:
            return _fault(str(error), expression)
        if program.return_type() != cel.Type.BOOL:
            return ConditionFault(1, 1, f"the expression gives {program.return_type().name().lower()}, not bool")

        def holds(bound: Bound) -> bool:
            try:
                result = program.eval(bound)
                answer = result.value() if result.type() == cel.Type.BOOL else None
            except (RuntimeError, ValueError, TypeError) as error:
                raise ConditionFailed(str(error)) from error
            if answer is None:
                raise ConditionFailed(str(result.value()))
            return bool(answer)

        return holds

    def bind(self, facts: Facts) -> Bound:
        """The facts, once for all conditions of a payment."""
        try:
            features = self._features()
            for name, value in facts["features"].items():
                # A stored decision may have a feature that is no longer defined: no expression can name it.
                if name in self._known:
                    getattr(features, name).value = value
            return self._environment.Activation({**facts, "features": features})
        except (RuntimeError, ValueError, TypeError) as error:
            raise ConditionFailed(str(error)) from error


def _features_message(names: Iterable[str]) -> tuple[descriptor_pool.DescriptorPool, type[message.Message] | Any]:
    """A message of one optional double a feature, in a pool of its own: the checker then knows the names, and `has` works."""
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    file = descriptor_pb2.FileDescriptorProto(
        name="weir/fraud/policy/features.proto", package=_PACKAGE, syntax="proto3", dependency=[wrappers.name]
    )
    features = file.message_type.add(name=_FEATURES)
    for number, name in enumerate(names, 1):
        features.field.add(
            name=name,
            number=number,
            type=descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
            type_name=".google.protobuf.DoubleValue",
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(wrappers)
    pool.Add(file)
    return pool, message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{_FEATURES}"))


def _fault(text: str, expression: str) -> ConditionFault:
    """The first fault of the runtime's report; the column counts characters from 1."""
    found = _FAULT.search(text)
    if found is None or int(found["line"]) < 1:
        what = "the expression is nested too deeply" if _TOO_DEEP in text else text.splitlines()[0]
        return ConditionFault(1, 1, what)
    what = found["what"].replace(" (in container '')", "").replace(f"{_PACKAGE}.{_FEATURES}", "features")
    if _MIXED_NUMBERS.search(what):
        what += "; numbers with a fraction are written with a point: 100.0"
    if what.startswith("undeclared") and _LOOP.search(expression):
        what += "; there are no loops"
    return ConditionFault(int(found["line"]), int(found["column"]), what)
