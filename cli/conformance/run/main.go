// Command run is `make conformance`. It compares what ducklens measures with published numbers of GPT-2
// small, and with its own earlier numbers of SmolLM2. The models and the templates of the published prompts
// are not in the repository; a comparison without them is skipped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"ducklens/cli/conformance"
	"ducklens/cli/smollm2"
)

func main() {
	os.Exit(run())
}

func run() (code int) {
	testdata := flag.String("testdata", "testdata", "folder of reference numbers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	weights, templates := os.Getenv("DUCKLENS_GPT2_DIR"), os.Getenv("DUCKLENS_IOI_TEMPLATES")
	if missing := conformance.Missing(weights, templates); missing != "" {
		fmt.Printf("skipped: the comparison with published numbers of GPT-2 small, because\n%s", missing)
	} else {
		ref, err := conformance.Published(filepath.Join(*testdata, "published"))
		code = max(code, compare(ctx, ref, err, conformance.GPT2Small(weights, templates)))
	}
	if model := smollm2.At("."); model == "" {
		fmt.Printf(
			"skipped: the comparison with earlier numbers of SmolLM2, because there is no model; "+
				"make smollm2 gets it, or %s names it\n", smollm2.Variable)
	} else {
		ref, err := conformance.Expected(filepath.Join(*testdata, "smollm2"))
		code = max(code,
			compare(ctx, ref, err,
				conformance.SmolLM2(model, filepath.Join("cli", "smollm2", "templates.json"))))
	}
	return code
}

// compare prints a comparison and returns the exit code. err is that of reading ref.
func compare(ctx context.Context, ref conformance.Reference, err error, subject conformance.Subject) int {
	start := time.Now()
	var report conformance.Report
	if err == nil {
		report, err = measure(ctx, ref, subject)
	}
	if err == nil {
		err = report.Print(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ducklens:", err)
		return 1
	}
	fmt.Printf("in %s\n", time.Since(start).Round(time.Second))
	return min(report.Failed(), 1)
}

// measure runs a comparison in a temporary folder.
func measure(
	ctx context.Context, ref conformance.Reference, subject conformance.Subject,
) (report conformance.Report, err error) {
	dir, err := os.MkdirTemp("", "ducklens-conformance-*")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := conformance.Ingest(ctx, subject, dir,
		func(line string) { fmt.Fprintln(os.Stderr, line) }); err != nil {
		return report, err
	}
	return conformance.Compare(ctx, subject, ref, dir)
}
