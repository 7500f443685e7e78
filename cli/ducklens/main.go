// Command ducklens answers "why did this head attend there?" in SQL: it splits the attention scores of a
// transformer into exact contributions and writes them to a DuckDB file. `ducklens --help` lists what it
// can do; package cli holds it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"ducklens/cli"
)

func main() {
	os.Exit(run())
}

// run is main with its deferred calls made before the process exits. The first interrupt asks the
// command to stop; a second one ends the process at once.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return cli.Run(cli.OwnProcess(ctx), os.Args, os.Stdin, os.Stdout, os.Stderr)
}
