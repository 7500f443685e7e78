// Command run is `make smollm2`. It runs ducklens on a pretrained model and leaves run files, reports and
// figures in a folder, which docs/smollm2.md describes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"ducklens/cli/smollm2"
	"ducklens/internal/advice"
)

func main() {
	dir := flag.String("dir", "smollm2", "`folder` to write to; it is created if it does not exist")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "ducklens:", err)
		if hint := advice.Of(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
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
	_, err = fmt.Printf("in %s; read %s, and ask: ducklens shell %s\n", time.Since(begin).Round(time.Second),
		filepath.Join("docs", "smollm2.md"), filepath.Join(dir, "layer24.duckdb"))
	return err
}
