package cli

import (
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/spf13/cobra"

	"ducklens/cli/hub"
	"ducklens/internal/advice"
)

// newModelPull builds `ducklens model pull`.
func newModelPull() *cobra.Command {
	var output, revision, host string
	cmd := &cobra.Command{
		Use:   "pull NAME",
		Short: "Fetch a model folder from the Hugging Face hub",
		Long: `Fetches the files of a model on the Hugging Face hub that ducklens reads (configuration,
tokenizer and safetensors) into a folder, and checks every file against the hash that the hub gives for it.
This is the only command that uses the network.`,
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
				return advice.Add(fmt.Errorf("pull %s: folder %s does not exist", name, dir),
					"make it first: mkdir -p "+quote(dir))
			}
			client := &hub.Client{Host: host, Progress: fetched(notes)}
			model, err := client.Look(cmd.Context(), name, revision)
			if err == nil {
				err = client.Fetch(cmd.Context(), model, folder)
			}
			switch {
			case errors.Is(err, hub.ErrExists):
				return advice.Add(fmt.Errorf("pull %s: %w", name, err), "-o names another folder")
			case errors.Is(err, hub.ErrName):
				return &usageError{err: err, hint: "such as gpt2 or HuggingFaceTB/SmolLM2-135M"}
			case errors.Is(err, hub.ErrNoModel):
				return advice.Add(err, "download the GGUF file yourself: ducklens reads it as it is")
			case err != nil:
				return err
			}
			var size int64
			for _, f := range model.Files {
				size += f.Size
			}
			fmt.Fprintf(notes, "%s: %s, %s, commit %s; next: ducklens model inspect %s\n",
				folder, plural(len(model.Files), "file"), megabytes(size), model.Commit, quote(folder))
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&output, "output", "o", "", "`folder` to make (default: the last part of NAME)")
	flags.StringVar(&revision, "revision", "main", "`branch`, tag or commit")
	flags.StringVar(&host, "hub", hub.Host, "`address` of the hub or of a server with the same API")
	return cmd
}

// fetched returns a function that reports, every few seconds, how much of a large file has arrived.
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
		fmt.Fprintf(notes, "%s: %s of %s, %s left\n", f.Name, megabytes(done), megabytes(f.Size),
			left.Round(time.Second))
	}
}

// megabytes formats a size.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
