package cli

import (
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/spf13/cobra"

	"ducklens/cli/hub"
)

// newModelPull builds `ducklens model pull`.
func newModelPull() *cobra.Command {
	var output, revision, host string
	cmd := &cobra.Command{
		Use:   "pull NAME",
		Short: "Fetch a model folder from the Hugging Face hub",
		Long: `Fetches what ducklens reads of a model of the Hugging Face hub, its configuration, tokenizer and safetensors, into
a folder, and checks every file against the hash that the hub gives for it. It is the only command that uses the network.`,
		Example: `  ducklens model pull gpt2
  ducklens model pull HuggingFaceTB/SmolLM2-135M -o smollm2`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, notes := args[0], cmd.ErrOrStderr()
			folder := output
			if folder == "" {
				folder = path.Base(name)
			}
			if dir := path.Dir(folder); !isFolder(dir) {
				return &hinted{fmt.Errorf("pull %s: there is no folder %s", name, dir), "make it first: mkdir -p " + quote(dir)}
			}
			client := &hub.Client{Host: host, Progress: fetched(notes)}
			model, err := client.Look(cmd.Context(), name, revision)
			if err == nil {
				err = client.Fetch(cmd.Context(), model, folder)
			}
			switch {
			case errors.Is(err, hub.ErrExists):
				return &hinted{fmt.Errorf("pull %s: %w", name, err), "-o names another folder"}
			case errors.Is(err, hub.ErrName):
				return &usageError{err: err, hint: "such as gpt2 or HuggingFaceTB/SmolLM2-135M"}
			case errors.Is(err, hub.ErrNoModel):
				return &hinted{err, "GGUF files are fetched by hand: ducklens reads them as they are"}
			case err != nil:
				return err
			}
			var size int64
			for _, f := range model.Files {
				size += f.Size
			}
			fmt.Fprintf(notes, "%s: %s, %s, commit %s; look at it: ducklens model inspect %s\n",
				folder, plural(len(model.Files), "file"), megabytes(size), model.Commit, quote(folder))
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&output, "output", "o", "", "`folder` to make (the last part of NAME unless given)")
	flags.StringVar(&revision, "revision", "main", "`branch`, tag or commit")
	flags.StringVar(&host, "hub", hub.Host, "`address` of the hub, or of a server that answers as it does")
	return cmd
}

// fetched says of a large file now and then how much of it has come.
func fetched(notes io.Writer) func(hub.File, int64) {
	began, said, last := time.Now(), time.Now(), ""
	return func(f hub.File, done int64) {
		if f.Name != last {
			began, last = time.Now(), f.Name
		}
		if time.Since(said) < betweenLines {
			return
		}
		said = time.Now()
		left := time.Duration(float64(time.Since(began)) * float64(f.Size-done) / float64(max(1, done)))
		fmt.Fprintf(notes, "%s: %s of %s, %s left\n", f.Name, megabytes(done), megabytes(f.Size), left.Round(time.Second))
	}
}

// megabytes writes a size.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
