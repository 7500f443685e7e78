// Command peers is `make peers`. It compares the speed of ducklens with that of transformers on torch, in
// turns. ducklens takes 400 prompts of SmolLM2 from the start of its process to the finished file;
// transformers, already warm, makes one forward pass over the same tokens.
package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"ducklens/cli/smollm2"
	"ducklens/internal/advice"
)

//go:embed peers.py
var script string

const (
	// pythonVariable names the environment variable for the Python interpreter.
	pythonVariable = "DUCKLENS_PYTHON"
	// wanted is the factor by which a whole run should be faster than a forward pass of transformers.
	wanted  = 1.5
	prompts = 400
	batch   = 50 // prompts in a batch of transformers
	// sameLogits is the allowed relative difference of logits: both are float32, summed in another order.
	sameLogits = 1e-3
)

func main() {
	program := flag.String("ducklens", filepath.Join("bin", "ducklens"), "the `program` to time")
	rounds := flag.Int("rounds", 5, "how often each takes its turn")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *program, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "ducklens:", err)
		if hint := advice.Of(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
		}
		os.Exit(1)
	}
}

// pythonError says that transformers cannot run.
type pythonError struct{ err error }

func (e *pythonError) Error() string { return e.err.Error() }
func (e *pythonError) Unwrap() error { return e.err }
func (e *pythonError) Hint() string {
	return "pip install torch transformers gguf accelerate; " + pythonVariable +
		" may name the interpreter that has them"
}

// python returns an interpreter that can import what the script needs.
func python(ctx context.Context) (string, error) {
	name := os.Getenv(pythonVariable)
	if name == "" {
		name = "python3"
	}
	said, err := exec.CommandContext(ctx, name, "-c",
		"import torch, transformers, gguf, accelerate").CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		return "",
			&pythonError{fmt.Errorf("%s cannot run transformers on torch: %w: %s", name, err,
				lines[len(lines)-1])}
	}
	return name, nil
}

// A contest is the input of both programs.
type contest struct {
	program, model, dir string
	threads             int
}

// variants are the runs of ducklens to time. The first should be faster than transformers.
func variants() []struct {
	name  string
	flags []string
} {
	return []struct {
		name  string
		flags []string
	}{
		{"--head 24.4, all defaults", []string{"--head=24.4"}},
		{"the same with --logits, all layers", []string{"--head=24.4", "--logits"}},
	}
}

func run(ctx context.Context, program string, rounds int) (err error) {
	interpreter, err := python(ctx)
	if err != nil {
		return err
	}
	model, err := smollm2.Find(ctx, ".", func(line string) { fmt.Println(line) })
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ducklens-peers-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := contest{program: program, model: model, dir: dir, threads: runtime.NumCPU()}
	if err := os.WriteFile(c.path("templates.json"), smollm2.Templates(), 0o666); err != nil {
		return err
	}
	if _, err := c.ingest(ctx, "--head=24.4", "--logits"); err != nil {
		return err
	}
	logits, err := c.tokens(ctx)
	if err != nil {
		return err
	}
	p, err := c.peer(ctx, interpreter)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if _, err := p.pass(logits); err != nil { // a warm-up, which also compares the logits
		return err
	}
	return c.turns(ctx, p, rounds)
}

// took is the time of a run in seconds: wall time, and processor time, which varies less if others use the
// machine.
type took struct {
	Seconds   float64 `json:"seconds"`
	Processor float64 `json:"processor"`
}

// turns runs both programs in turns, and prints their times.
func (c contest) turns(ctx context.Context, p *peer, rounds int) error {
	var theirs []took
	ours := make([][]took, len(variants()))
	for range rounds {
		t, err := p.pass(nil)
		if err != nil {
			return err
		}
		theirs = append(theirs, t)
		for i, v := range variants() {
			t, err := c.ingest(ctx, v.flags...)
			if err != nil {
				return err
			}
			ours[i] = append(ours[i], t)
		}
	}
	fmt.Printf(
		"%d prompts of SmolLM2-135M, %d threads, %d runs in turns: median seconds (smallest to largest), "+
			"and those of processors\n", prompts, c.threads, rounds)
	fmt.Printf("  %-40s %s\n", "one warm forward pass, last logits only", spread(theirs))
	fmt.Printf("    (%s, batches of %d padded to %d tokens)\n", p.versions, batch, p.padded)
	wall, busy := middle(theirs)
	ratio := 0.0
	for i, v := range variants() {
		seconds, processor := middle(ours[i])
		fmt.Printf("  %-40s %s: %.2f times as fast, with processor time %.2f\n", v.name, spread(ours[i]),
			wall/seconds, busy/processor)
		if i == 0 {
			ratio = wall / seconds
		}
	}
	if ratio < wanted {
		fmt.Printf("the first run of ducklens should be at least %.1f times as fast: missed by %.0f %%\n",
			wanted, 100*(1-ratio/wanted))
	}
	return nil
}

// middle returns the medians.
func middle(list []took) (seconds, processor float64) {
	return median(list, func(t took) float64 { return t.Seconds }),
		median(list, func(t took) float64 { return t.Processor })
}

func median(list []took, of func(took) float64) float64 {
	numbers := sorted(list, of)
	return (numbers[(len(numbers)-1)/2] + numbers[len(numbers)/2]) / 2
}

func sorted(list []took, of func(took) float64) []float64 {
	var numbers []float64
	for _, t := range list {
		numbers = append(numbers, of(t))
	}
	slices.Sort(numbers)
	return numbers
}

func spread(list []took) string {
	seconds, processor := middle(list)
	all := sorted(list, func(t took) float64 { return t.Seconds })
	return fmt.Sprintf("%6.2f (%.2f to %.2f), %6.2f", seconds, all[0], all[len(all)-1], processor)
}

func (c contest) path(name string) string { return filepath.Join(c.dir, name) }

// ingest runs ducklens and returns the time of its process.
func (c contest) ingest(ctx context.Context, flags ...string) (took, error) {
	args := append([]string{"ingest", "--model=" + c.model, "--templates=" + c.path("templates.json"),
		"--seed=2411", fmt.Sprintf("-n=%d", prompts),
		fmt.Sprintf("--threads=%d", c.threads), "--force", "-o=" + c.path("run.duckdb")}, flags...)
	_, t, err := c.ducklens(ctx, args...)
	return t, err
}

// ducklens runs the program and returns its standard output and time.
func (c contest) ducklens(ctx context.Context, args ...string) ([]byte, took, error) {
	cmd, start := exec.CommandContext(ctx, c.program, args...), time.Now()
	printed, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%s %s: %w: %s", c.program, args[0], err, strings.TrimSpace(string(failed.Stderr)))
	}
	if err != nil {
		return nil, took{}, err
	}
	return printed,
		took{time.Since(start).Seconds(),
			(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()}, nil
}

// tokens writes the tokens of the last run's prompts for transformers, and returns ducklens's logits of the
// keys.
func (c contest) tokens(ctx context.Context) ([]float64, error) {
	const query = `SELECT list(t.token_id ORDER BY t.pos) AS tokens,
	  any_value(t.token_id) FILTER (t.pos = e.key_pos) AS key, any_value(l.logit) AS logit
FROM token AS t JOIN example AS e USING (run_id, example_id) JOIN logit AS l USING (run_id, example_id)
WHERE l.token = 'key' AND t.pos <= e.query_pos GROUP BY example_id ORDER BY example_id`
	rows, _, err := c.ducklens(ctx, "query", c.path("run.duckdb"), "-e", query, "--format=json")
	if err != nil {
		return nil, err
	}
	var list []struct {
		Tokens []int   `json:"tokens"`
		Key    int     `json:"key"`
		Logit  float64 `json:"logit"`
	}
	if err := json.Unmarshal(rows, &list); err != nil {
		return nil, err
	}
	var logits []float64
	for _, x := range list {
		logits = append(logits, x.Logit)
	}
	return logits, os.WriteFile(c.path("prompts.json"), rows, 0o666)
}

// A peer is the process of transformers, which waits for its turns.
type peer struct {
	cmd      *exec.Cmd
	ask      io.WriteCloser
	answers  *json.Decoder
	versions string
	padded   int
}

// peer starts the process, which loads the model.
func (c contest) peer(ctx context.Context, interpreter string) (*peer, error) {
	cmd := exec.CommandContext(ctx, interpreter, "-c", script, filepath.Dir(c.model), filepath.Base(c.model),
		c.path("prompts.json"),
		fmt.Sprint(c.threads), fmt.Sprint(batch))
	cmd.Stderr, cmd.Env = os.Stderr, append(os.Environ(), "TQDM_DISABLE=1")
	ask, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{cmd: cmd, ask: ask, answers: json.NewDecoder(bufio.NewReader(out))}
	var first struct {
		Versions string `json:"versions"`
		Padded   int    `json:"padded"`
	}
	if err := p.answers.Decode(&first); err != nil {
		return nil, errors.Join(fmt.Errorf("transformers did not load the model: %w", err), p.close())
	}
	p.versions, p.padded = first.Versions, first.Padded
	return p, nil
}

// close ends the process.
func (p *peer) close() error { return errors.Join(p.ask.Close(), p.cmd.Wait()) }

// pass makes a forward pass and returns its time. With logits it returns an error if those of the pass
// differ, because then the model would be another one.
func (p *peer) pass(logits []float64) (took, error) {
	if _, err := io.WriteString(p.ask, "\n"); err != nil {
		return took{}, err
	}
	var answer struct {
		Took   took      `json:"took"`
		Logits []float64 `json:"logits"`
	}
	if err := p.answers.Decode(&answer); err != nil {
		return took{}, fmt.Errorf("transformers made no pass: %w", err)
	}
	for i, want := range logits {
		if got := answer.Logits[i]; !(math.Abs(got-want) <= sameLogits*max(1, math.Abs(want))) {
			return took{},
				fmt.Errorf("prompt %d: transformers has %g for the logit of the key, and ducklens %g", i, got,
					want)
		}
	}
	return answer.Took, nil
}
