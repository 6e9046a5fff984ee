"""Commands as real toolchains build them run, and run alike in separate processes."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sandbox.report import check

GO = """package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	line, _ := bufio.NewReader(os.Stdin).ReadString('\\n')
	begun := time.Now()
	time.Sleep(time.Hour)
	bytes := make([]byte, 4)
	rand.Read(bytes)
	done := make(chan string)
	go func() { done <- strings.ToUpper(strings.TrimSpace(line)) }()
	_, err := os.Open("/etc/passwd")
	fmt.Println(<-done, os.Args[1:], time.Since(begun) >= time.Hour, bytes, err != nil, os.Getenv("NAME"))
	if len(os.Args) > 2 {
		panic("as asked")
	}
}
"""

C = r"""
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main(int argc, char **argv) {
    int c;
    while ((c = getchar()) != EOF) putchar(toupper(c));
    char *block = malloc(3 << 20);
    block[(3 << 20) - 1] = 1;
    fprintf(stderr, "%s %d", argv[1], fopen("/etc/passwd", "r") == NULL);
    return time(NULL) < 0 ? 1 : argc - 2;
}
"""


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not on PATH")
async def test_go(tmp_path: Path):
    """Go's runtime: goroutines, a sleep of an hour that takes no time, randomness from the seed, no files."""
    (tmp_path / "main.go").write_text(GO)
    (tmp_path / "go.mod").write_text("module guest\n\ngo 1.21\n")
    env = {**os.environ, "GOOS": "wasip1", "GOARCH": "wasm", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    subprocess.run(["go", "build", "-o", "guest.wasm", "."], cwd=tmp_path, env=env, check=True, timeout=120)  # noqa: ASYNC221
    wasm = (tmp_path / "guest.wasm").read_bytes()
    report = await check(wasm, args=["x"], input=b"hello\n", env={"NAME": "me"})
    run = report.runs[0]

    assert (run.status, report.differs) == ("ok", [])
    words = run.output.decode().split()
    assert words[:3] == ["HELLO", "[x]", "true"]
    assert words[-2:] == ["true", "me"]
    assert run.wall_ms < 5000


@pytest.mark.skipif(find_spec("ziglang") is None, reason="the wheel ziglang is not installed")
async def test_c(tmp_path: Path):
    """C with wasi-libc: buffered streams, malloc, stderr, and a failing fopen."""
    # -Oz as our guests have it: the compiler makes its libc once for each level, which takes half a minute.
    (tmp_path / "main.c").write_text(C)
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        "wasm32-wasi",
        "-Oz",
        "-o",
        "guest.wasm",
        "main.c",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)  # noqa: ASYNC221
    report = await check((tmp_path / "guest.wasm").read_bytes(), args=["note"], input=b"some text" * 10_000)
    run = report.runs[0]

    assert (run.status, run.detail, report.differs) == ("ok", "", [])
    assert run.output == b"SOME TEXT" * 10_000
    assert run.stderr == b"note 1"
