"""One walk over a function and all that it refers to: what goes along, its identity, and what cannot go along.

What has a name in a module is known by that name, as pickling does it; what is of the notebook or script, `__main__`,
is looked into: code, closure, defaults, attributes, classes with methods and bases, objects by `__reduce_ex__`.
"""

from __future__ import annotations

import builtins
import copyreg
import functools
import hashlib
import marshal
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp_bayesopt.function.classes import dumped
from kfp_bayesopt.function.codes import MAIN, Names, instructions, names_of
from kfp_bayesopt.function.file import MOST_BYTES
from kfp_bayesopt.function.kinds import problem_of
from kfp_bayesopt.function.modules import Modules, modules_of

TOO_LARGE = "write it to a file or a bucket, and give it to the trials with data="

_OF_MODULE = {"__name__", "__builtins__", "__spec__", "__loader__", "__package__", "__doc__", "__annotations__"}
"""Names that every module has of its own."""
_OF_CLASS = {
    "__dict__",
    "__weakref__",
    "__module__",
    "__doc__",
    "__qualname__",
    "__firstlineno__",
    "__static_attributes__",
    "__annotations_cache__",
    "__slotnames__",
    "_abc_impl",
}
"""Names of a class that say nothing of what it does, or hold what Python remembers of it."""
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
_NAMED = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodWrapperType,
)
_OF_NOTEBOOK = "is the notebook's own, and trials run in none; leave it out, or import it in the function"
_MANY = 100
_HEAP_TYPE = 1 << 9
"""The flag of types that were made while a program runs."""


@dataclass
class Walk:
    """What was found.

    Attributes:
        names: The names of the notebook or script that the function refers to, and what they refer to.
        captured: The variables of functions around those that are taken, each by its path.
        problems: What cannot go along: its path, what it is, and the way out.
        modules: What is imported.
        code: The SHA-256 of all that counts.
    """

    names: dict[str, Any] = field(default_factory=dict)
    captured: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    modules: Modules = field(default_factory=Modules)
    code: str = ""


def walk(function: Any, name: str) -> Walk:
    """Walk over a function.

    Args:
        function: The function, or whatever else can be called.
        name: Its name, with which paths begin.
    """
    assigned: set[str] = set()
    while True:
        walker = _Walker(frozenset(assigned))
        walker.visit(function, name)
        if walker.assigned <= assigned:
            break
        assigned = walker.assigned  # known only when all code was read
    walker.visit_assigned(name)
    found = walker.found
    found.modules = modules_of(walker.imported)
    walker.say("beside", found.modules.code)
    found.code = walker.digest.hexdigest()
    if walker.bytes > MOST_BYTES:
        path, most = max(walker.large.items(), key=lambda each: each[1])
        found.problems[path] = _too_large(most, walker.bytes)
    return found


def _too_large(most: int, count: int) -> str:
    shown = size_text(count) if most == count else f"{size_text(most)} of {size_text(count)} in all"
    return f"{shown}, and at most {size_text(MOST_BYTES)} are taken along; {TOO_LARGE}"


def size_text(count: int) -> str:
    """Return a number of bytes as people say it."""
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.3g} {unit}" if count < 1000 * size else f"{count // size:,} {unit}"
    return f"{count} bytes"


def is_of_notebook(scope: Mapping[str, Any]) -> bool:
    """Tell whether globals are those of the notebook or script."""
    return scope.get("__name__") == MAIN


def _is_of_a_module(scope: Mapping[str, Any]) -> bool:
    """Tell whether globals are those of a module that a trial imports."""
    module = sys.modules.get(scope.get("__name__", ""))
    return module is not None and module.__name__ != MAIN and vars(module) is scope


def has_name(value: Any) -> bool:
    """Tell whether a function or class is found by its name in its module, which is not the notebook or script."""
    module = getattr(value, "__module__", None)
    if module in (None, MAIN) or module not in sys.modules:
        return False
    found: Any = sys.modules[module]
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


class _Walker:
    """Says each thing once, in an order that follows from the function alone, to a digest."""

    def __init__(self, known: frozenset[str]) -> None:
        self.found = Walk()
        self.known = known
        self.assigned: set[str] = set()
        self.imported: set[str] = set()
        self.digest = hashlib.sha256()
        self.bytes = 0
        self.large: dict[str, int] = {}
        self.later: dict[str, Any] = {}
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no other object gets the id of one that was seen
        self.sets: set[int] = set()

    def say(self, *parts: Any) -> None:
        """Add parts that are plain to the digest."""
        text = repr(parts).encode("utf-8", "backslashreplace")
        self.digest.update(b"%d:" % len(text) + text)

    def visit(self, value: Any, path: str) -> None:
        """Say a value."""
        kind = type(value)
        if kind in _PLAIN:
            self._plain(value, path)
        elif kind is tuple:
            self.say("tuple", len(value))
            self._each(value, path)
        elif kind is set or kind is frozenset:
            self._set(value, path)
        elif id(value) in self.seen:
            self.say("again", self.seen[id(value)])
        else:
            self.seen[id(value)] = len(self.seen)
            self.kept.append(value)
            self._new(value, path)

    def visit_assigned(self, name: str) -> None:
        """Look at what is in the names that the function assigns itself: it goes along, but does not count."""
        counted, self.digest = self.digest, hashlib.sha256()
        while self.later:
            each, value = self.later.popitem()
            self.visit(value, f"{name} → {_named(each, value)}")
        self.digest = counted

    def _plain(self, value: Any, path: str) -> None:
        if isinstance(value, str | bytes) and len(value) > _MANY:
            self._weigh(len(value), path)
            content = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
            self.say(type(value).__name__, hashlib.sha256(content).hexdigest())
        else:
            self.say(type(value).__name__, value)

    def _weigh(self, count: int, path: str) -> None:
        self.bytes += count
        self.large[path] = self.large.get(path, 0) + count

    def _each(self, values: Iterable[Any], path: str) -> None:
        for index, each in enumerate(values):
            self.visit(each, f"{path}[{index}]")

    def _many(self, values: list[Any], path: str) -> bool:
        """Say many plain values at once, if they are."""
        if len(values) <= _MANY or not _PLAIN.issuperset(map(type, values)):
            return False
        content = marshal.dumps(values, 0)  # in this version nothing depends on which objects are the same
        self._weigh(len(content), path)
        self.say("plain", len(values), hashlib.sha256(content).hexdigest())
        return True

    def _set(self, values: set[Any] | frozenset[Any], path: str) -> None:
        if id(values) in self.sets:
            self.say("around")
            return
        self.sets.add(id(values))
        self.kept.append(values)
        outer = self.digest, self.seen
        alone = []
        for each in values:
            self.digest, self.seen = hashlib.sha256(), {}
            self.visit(each, f"{path}{{}}")
            alone.append(self.digest.digest())
        self.digest, self.seen = outer
        self.sets.discard(id(values))
        self.say(type(values).__name__, sorted(alone))

    def _new(self, value: Any, path: str) -> None:
        problem = problem_of(type(value))
        if problem is not None:
            self.found.problems.setdefault(path, problem)
            self.say("problem")
            return
        for kind, visit in _VISITS:
            if isinstance(value, kind):
                visit(self, value, path)
                return
        if type(value) is dict:
            self.say("dict", len(value))
            if not (self._many(list(value), path) and self._many(list(value.values()), path)):
                for key, each in value.items():
                    self.visit(key, path)
                    self.visit(each, f"{path}[{_short(key)}]")
        elif type(value) is list:
            self.say("list", len(value))
            if not self._many(value, path):
                self._each(value, path)
        elif type(value).__module__ == "numpy" and type(value).__name__ == "ndarray":
            self._array(value, path)
        else:
            self._object(value, path)

    def _function(self, value: types.FunctionType, path: str) -> None:
        if has_name(value):
            self._reference(value.__module__, value.__qualname__)
            return
        self.say("function")
        self._code(value.__code__, path)
        variables = value.__code__.co_varnames[: value.__code__.co_argcount]
        defaults = value.__defaults__ or ()
        given = dict(zip(variables[len(variables) - len(defaults) :], defaults, strict=True))
        for name, each in {**given, **dict(sorted((value.__kwdefaults__ or {}).items()))}.items():
            self.say("default", name)
            self.visit(each, f"{path} → {_named(name, each)}")
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            self.say("closure", name)
            self._cell(cell, f"{path} → ", name)
        self._attributes(value.__dict__, path)
        self._globals(names_of(value.__code__), value.__globals__, path)

    def _cell(self, cell: types.CellType, path: str, name: str) -> None:
        try:
            each = cell.cell_contents
        except ValueError:
            self.say("empty")
            return
        if name != "__class__":  # of a method that calls `super`
            self.found.captured.setdefault(f"{path}{name}", each)
        self.visit(each, f"{path}{_named(name, each)}")

    def _globals(self, names: Names, scope: Mapping[str, Any], path: str) -> None:
        self.imported |= names.imported
        own = is_of_notebook(scope)
        if own:
            self.assigned |= names.assigned
        for name in sorted(names.read | names.assigned):
            if name in _OF_MODULE or (own and _hides_pythons_own(scope.get(name), name)):
                continue
            if name in scope:
                self._global(name, scope, path)
            elif not hasattr(builtins, name):
                if name not in self.known:
                    self.say("undefined", name)
            elif _is_of_ipython(getattr(builtins, name)):
                self.found.problems.setdefault(f"{path} → {name}", _OF_NOTEBOOK)
        if not own and (module := scope.get("__name__")):
            self._of_module(module)

    def _global(self, name: str, scope: Mapping[str, Any], path: str) -> None:
        value = scope[name]
        if is_of_notebook(scope):
            self.found.names[name] = value
            if name in self.known or name == "__file__":
                self.later[name] = value
                return
        self.say("global", name)
        if not _is_of_a_module(scope):
            self.visit(value, f"{path} → {_named(name, value)}")

    def _code(self, code: types.CodeType, path: str) -> None:
        counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
        self.say("code", code.co_name, counts, code.co_varnames[: sum(counts[:3])])
        self.say(code.co_freevars, code.co_cellvars, getattr(code, "co_exceptiontable", b""))
        for name, about, is_constant in instructions(code):
            self.say(name)
            if isinstance(about, types.CodeType):
                self._code(about, path)
            elif is_constant:
                self.visit(about, path)
            else:
                self.say(about)

    def _class(self, value: type, path: str) -> None:
        if not value.__flags__ & _HEAP_TYPE or has_name(value):
            self._reference(value.__module__, value.__qualname__)
            return
        self.say("class", value.__name__)
        self.visit(type(value), path)
        for base in value.__bases__:
            self.visit(base, f"{path} → {base.__name__}")
        self._attributes({name: each for name, each in vars(value).items() if name not in _OF_CLASS}, path)

    def _attributes(self, values: Mapping[str, Any], path: str) -> None:
        for name, each in sorted(values.items(), key=lambda item: str(item[0])):
            self.say("attribute", str(name))
            self.visit(each, f"{path}.{name}")

    def _method(self, value: types.MethodType, path: str) -> None:
        self.say("method")
        self.visit(value.__func__, path)
        self.visit(value.__self__, f"{path} → {_named('self', value.__self__)}")

    def _partial(self, value: functools.partial[Any], path: str) -> None:
        self.say("partial", len(value.args))
        self.visit(value.func, path)
        self._each(value.args, path)
        self._attributes({**value.keywords, **vars(value)}, path)

    def _module(self, value: types.ModuleType, path: str) -> None:
        self.say("module", value.__name__)
        self._of_module(value.__name__)
        if getattr(value, "__file__", None) is None and not hasattr(value, "__path__"):
            top = value.__name__.partition(".")[0]
            if top not in sys.stdlib_module_names:
                self.found.problems[path] = "a module without a file, which no trial can import; define it in a file"

    def _named_by_python(self, value: Any, path: str) -> None:
        owner = getattr(value, "__self__", None)
        self.say("named", value.__name__)
        if owner is None or isinstance(owner, types.ModuleType | type):
            module = getattr(value, "__module__", None) or getattr(value, "__objclass__", owner).__module__
            self._reference(module, value.__qualname__)
        else:
            self.visit(owner, f"{path} → {_named('self', owner)}")

    def _array(self, value: Any, path: str) -> None:
        self.say("array", str(value.dtype.str), repr(value.dtype.descr), value.shape)
        if value.dtype.hasobject:
            self.visit(value.ravel().tolist(), path)
            return
        self._of_module(type(value).__module__)
        self._weigh(value.nbytes, path)
        if value.nbytes <= MOST_BYTES:
            self.say(hashlib.sha256(value.tobytes()).hexdigest())

    def _object(self, value: Any, path: str) -> None:
        make_it = copyreg.dispatch_table.get(type(value))
        try:
            reduced = value.__reduce_ex__(4) if make_it is None else make_it(value)
        except Exception as error:
            self.say("whole", type(value).__qualname__)
            if not _is_known_to_dill(value):
                self.found.problems.setdefault(
                    path, f"{_a(type(value))} cannot be taken along ({_line(error)}); make it inside of the function"
                )
            return
        self.kept.append(reduced)
        self.say("object", type(value).__qualname__)
        if isinstance(reduced, str):
            self._reference(getattr(value, "__module__", None) or type(value).__module__, reduced)
            return
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        self.visit(make, path)
        for each in arguments:
            self.visit(each, path)
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            if isinstance(part, dict):
                self._attributes(part, path)
            else:
                self.visit(part, path)
        self.visit(list(items or ()), path)
        for key, each in pairs or ():
            self.visit(key, path)
            self.visit(each, f"{path}[{_short(key)}]")

    def _reference(self, module: str, name: str) -> None:
        self.say("reference", module, name)
        self._of_module(f"{module}.{name}" if module != MAIN else "")

    def _of_module(self, name: str) -> None:
        if name:
            self.imported.add(name)


def _wrapped(names: tuple[str, ...]) -> Callable[[_Walker, Any, str], None]:
    """Return what looks at the functions in an object of Python itself."""

    def visit(walker: _Walker, value: Any, path: str) -> None:
        walker.say("wrapped", type(value).__name__)
        for name in names:
            walker.visit(getattr(value, name), path)

    return visit


_VISITS: tuple[tuple[Any, Callable[[_Walker, Any, str], None]], ...] = (
    (types.FunctionType, _Walker._function),
    (type, _Walker._class),
    (types.ModuleType, _Walker._module),
    (types.CodeType, _Walker._code),
    (types.MethodType, _Walker._method),
    (functools.partial, _Walker._partial),
    (types.CellType, lambda walker, value, path: walker._cell(value, path, "")),
    (property, _wrapped(("fget", "fset", "fdel"))),
    (staticmethod | classmethod, _wrapped(("__func__",))),
    (functools.cached_property, _wrapped(("func",))),
    (functools._lru_cache_wrapper, _wrapped(("__wrapped__",))),
    (types.MappingProxyType, lambda walker, value, path: walker.visit(dict(value), path)),
    (_NAMED, _Walker._named_by_python),
)


def _is_of_ipython(value: Any) -> bool:
    """Tell whether a value is IPython's, which it gives to every notebook."""
    scope = getattr(value, "__globals__", {})
    module = scope.get("__name__") or getattr(value, "__module__", None) or type(value).__module__
    return str(module).startswith("IPython.")


def _hides_pythons_own(value: Any, name: str) -> bool:
    """Tell whether IPython has put a value into a notebook in the place of one of Python's own, such as `open`."""
    own = getattr(builtins, name, None)
    return own is not None and not _is_of_ipython(own) and _is_of_ipython(value)


def _is_known_to_dill(value: Any) -> bool:
    """Tell whether dill writes what Python itself cannot take apart, such as a weak reference."""
    try:
        dumped(value)
    except Exception:  # whatever an object does that is taken apart
        return False
    return True


def _named(name: str, value: Any) -> str:
    """Return a name with the type of its value, where that says more."""
    kind = type(value)
    plain = kind.__module__ in ("builtins", "types") or problem_of(kind) is not None
    return name if plain or isinstance(value, type) else f"{name} ({kind.__name__})"


def _short(key: Any) -> str:
    shown = repr(key)
    return shown if len(shown) <= 40 else f"{shown[:37]}…"


def _a(kind: type) -> str:
    return f"{'an' if kind.__name__[:1].lower() in 'aeiou' else 'a'} {kind.__name__}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
