// Command run compares ducklens with what is published about GPT-2 small: `make conformance`. It needs the weights of the model
// and the templates of the published prompts, which are not in the repository, and is skipped where they are not at hand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"ducklens/cli/conformance"
)

func main() {
	os.Exit(run())
}

func run() (code int) {
	published := flag.String("published", "testdata/published", "folder of published numbers")
	flag.Parse()
	weights, templates := os.Getenv("DUCKLENS_GPT2_DIR"), os.Getenv("DUCKLENS_IOI_TEMPLATES")
	if missing := conformance.Missing(weights, templates); missing != "" {
		fmt.Printf("skipped: the comparison with published numbers of GPT-2 small, because\n%s", missing)
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	start := time.Now()
	report, err := compare(ctx, *published, conformance.GPT2Small(weights, templates))
	if err == nil {
		err = report.Print(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ducklens:", err)
		return 1
	}
	fmt.Printf("in %s\n", time.Since(start).Round(time.Second))
	if report.Failed() > 0 {
		return 1
	}
	return 0
}

// compare measures in a folder that is removed afterwards.
func compare(ctx context.Context, published string, subject conformance.Subject) (report conformance.Report, err error) {
	ref, err := conformance.Published(published)
	if err != nil {
		return report, err
	}
	dir, err := os.MkdirTemp("", "ducklens-conformance-*")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := conformance.Ingest(ctx, subject, dir, func(line string) { fmt.Fprintln(os.Stderr, line) }); err != nil {
		return report, err
	}
	return conformance.Compare(ctx, subject, ref, dir)
}
