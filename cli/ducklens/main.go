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

// The first interrupt asks the command to stop; a second one ends the process at once. The signal handler
// stays when the command is done. Otherwise an interrupt at that moment would kill the process after it has
// succeeded.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(cli.OwnProcess(ctx), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
