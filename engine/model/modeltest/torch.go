package modeltest

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a pass of [StartTorch] computes: TorchSequences sequences of TorchLength tokens through all layers of
// [Small], on TorchThreads threads.
const TorchSequences, TorchLength, TorchThreads = 50, 22, 2

//go:embed torch_forward.py
var torchForward string

// TorchPass is the time that one pass of PyTorch took: elapsed, and processor time over all threads.
type TorchPass struct{ Wall, CPU time.Duration }

// StartTorch starts a plain PyTorch forward pass with the first Python that has PyTorch, and skips the
// benchmark if there is none. The returned function runs one pass. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are
// removed from its environment, so that its BLAS chooses for this processor.
func StartTorch(b *testing.B) func(b *testing.B) TorchPass {
	b.Helper()
	var python string
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(b.Context(), name, "-c", "import torch").Run() == nil {
			python = name
			break
		}
	}
	if python == "" {
		b.Skip("no python3 with PyTorch (Debian: python3-torch)")
	}
	// The context of a benchmark ends before its cleanup, which stops the process in an orderly way.
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), python, "-c", torchForward)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "OPENBLAS_CORETYPE=") || strings.HasPrefix(v, "OPENBLAS_L2_SIZE=")
	})
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	var faults strings.Builder
	cmd.Stderr = &faults
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := in.Close(); err != nil {
			b.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Errorf("%v: %s", err, faults.String())
		}
	})
	lines := bufio.NewScanner(out)
	next := func(b *testing.B) string {
		if !lines.Scan() {
			b.Fatalf("PyTorch stopped: %v %s", lines.Err(), faults.String())
		}
		return lines.Text()
	}
	b.Log(next(b))
	return func(b *testing.B) TorchPass {
		if _, err := io.WriteString(in, "\n"); err != nil {
			b.Fatal(err)
		}
		var wall, cpu float64
		if _, err := fmt.Sscan(next(b), &wall, &cpu); err != nil {
			b.Fatal(fmt.Errorf("seconds of PyTorch: %w", err))
		}
		return TorchPass{time.Duration(wall * float64(time.Second)),
			time.Duration(cpu * float64(time.Second))}
	}
}
