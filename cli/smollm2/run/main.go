// Command run reads a pretrained model: `make smollm2`. It leaves files to ask, a report and figures in a folder; docs/smollm2.md says
// what is in them.
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

	"ducklens/cli/smollm2"
)

func main() {
	dir := flag.String("dir", "smollm2", "`folder` to write to; made if it is not there")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "ducklens:", err)
		var advice interface{ Hint() string }
		if errors.As(err, &advice) {
			fmt.Fprintln(os.Stderr, "hint:", advice.Hint())
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string) error {
	begin := time.Now()
	tell := func(line string) { fmt.Println(line) }
	model, err := smollm2.Find(ctx, ".", tell)
	if err != nil {
		return err
	}
	if err := smollm2.Make(ctx, model, dir, smollm2.Options{}, tell); err != nil {
		return err
	}
	_, err = fmt.Printf("in %s; read %s, and ask: ducklens shell %s\n", time.Since(begin).Round(time.Second), filepath.Join("docs", "smollm2.md"), filepath.Join(dir, "layer24.duckdb"))
	return err
}
