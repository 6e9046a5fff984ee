"""Whether a well-formed task can run: its module is stored and fits the sandbox, its entry and arguments match, its input exists.

Guarantees that a refusal names the field of the TaskSpec and what is allowed there, that each module is asked for once however many tasks
name it, and that a module's imports are looked at once, not for every task. Answers come from outside (`found`, `unfit`, `missing`):
no I/O here. What is found out of a digest stays true, so it is kept; that a blob is missing does not, so it is not.
"""

from collections import OrderedDict
from typing import NamedTuple

from bus.messages import TaskSpec
from coordinator.tasks import Task
from sandbox.errors import UnfitModule
from sandbox.module import ModuleReport, admit, check_command_args
from sandbox.numbers import parse_arguments

__all__ = ["Admission", "Question", "Unfit"]

_COMMAND = "_start"
_MANY_MODULES = 4096
_MANY_INPUTS = 65_536


class Unfit(NamedTuple):
    """Why a task cannot run, in the terms of its TaskSpec."""

    field: str
    limit: str


class Question(NamedTuple):
    """What must be looked up: in the blob store a `module` to read, or whether an `input` exists; or a client's `purse`, named instead of a digest."""

    what: str
    digest: str


class Admission:
    """What is known of modules and inputs, and which tasks wait for an answer."""

    def __init__(self) -> None:
        self._modules: OrderedDict[str, ModuleReport | Unfit] = OrderedDict()
        self._entries: dict[tuple[str, str], tuple[str, ...] | Unfit] = {}
        self._inputs: OrderedDict[str, None] = OrderedDict()
        self._waiting: dict[Question, list[Task]] = {}

    def __repr__(self) -> str:
        """How much is known and how much is asked for."""
        return f"Admission(modules={len(self._modules)}, inputs={len(self._inputs)}, asking={len(self._waiting)})"

    def check(self, spec: TaskSpec) -> Unfit | Question | None:
        """None where the task may run; otherwise why not, or what must be known first."""
        work = spec.work
        module = work.module[7:]
        signature = self._entries.get((module, work.entry))
        if signature is None:
            report = self._modules.get(module)
            if report is None:
                return Question("module", module)
            signature = self._entry(module, work.entry, report)
        if isinstance(signature, Unfit):
            return signature
        refusal = _check_values(spec, signature)
        if refusal is not None:
            return refusal
        if work.input_blob is not None and work.input_blob[7:] not in self._inputs:
            return Question("input", work.input_blob[7:])
        return None

    def wait(self, question: Question, task: Task) -> bool:
        """Let `task` wait for the answer; whether the question is new and must be asked."""
        tasks = self._waiting.get(question)
        if tasks is not None:
            tasks.append(task)
            return False
        self._waiting[question] = [task]
        return True

    def waiting(self, question: Question) -> int:
        """How many tasks wait for the answer."""
        return len(self._waiting.get(question, ()))

    def found(self, question: Question, report: ModuleReport | None) -> list[Task]:
        """The blob exists (a module's `report` comes with it): the tasks that waited are to be checked again."""
        if report is not None:
            self._learn(question.digest, report)
        else:
            self._inputs[question.digest] = None
            if len(self._inputs) > _MANY_INPUTS:
                self._inputs.popitem(last=False)
        return self._waiting.pop(question, [])

    def unfit(self, question: Question, refusal: Unfit) -> list[Task]:
        """The module can never run: the tasks that waited are to be checked again, and refused."""
        self._learn(question.digest, refusal)
        return self._waiting.pop(question, [])

    def missing(self, question: Question) -> list[Task]:
        """There is no such blob now (or the purse is known): the tasks that waited are to be refused, those at least that it is too little for."""
        return self._waiting.pop(question, [])

    def _learn(self, digest: str, known: ModuleReport | Unfit) -> None:
        self._modules[digest] = known
        if len(self._modules) > _MANY_MODULES:
            forgotten, _ = self._modules.popitem(last=False)
            self._entries = {key: value for key, value in self._entries.items() if key[0] != forgotten}

    def _entry(self, module: str, entry: str, report: ModuleReport | Unfit) -> tuple[str, ...] | Unfit:
        """The parameter types of an entry that this sandbox can call."""
        signature: tuple[str, ...] | Unfit
        if isinstance(report, Unfit):
            signature = report
        else:
            try:
                parameters = report.functions[entry].params if entry in report.functions else ()
                admit(report, entry, [0 for _ in parameters])
                signature = tuple(parameters)
            except UnfitModule as error:
                signature = Unfit(f"work.{error.field}", error.message)
        self._entries[module, entry] = signature
        if len(self._entries) > 4 * _MANY_MODULES:
            self._entries.clear()
        return signature


def _check_values(spec: TaskSpec, parameters: tuple[str, ...]) -> Unfit | None:
    work = spec.work
    try:
        if work.entry == _COMMAND:
            if work.args or work.env:
                check_command_args(list(work.args), work.env)
        elif work.input or work.input_blob is not None:
            field = "work.input" if work.input else "work.input_blob"
            return Unfit(
                field, "a function takes numbers in `args` and no input: leave it out, or use `_start`"
            )
        else:
            parse_arguments(parameters, work.args)
    except UnfitModule as error:
        return Unfit(f"work.{error.field}", error.message)
    return None
