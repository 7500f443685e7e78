package cli_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"ducklens/cli"
	"ducklens/cli/demo"
)

// TestMain makes the test binary serve as the program ducklens in scripts, with the signal handling of main.
func TestMain(m *testing.M) {
	testscript.Main(packageTests{m}, map[string]func(){
		"ducklens": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			context.AfterFunc(ctx, stop)
			os.Exit(cli.Run(cli.OwnProcess(ctx), os.Args, os.Stdin, os.Stdout, os.Stderr))
		},
		"linger": func() { // ducklens on a machine that is busy elsewhere when it ends
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := cli.Run(cli.OwnProcess(ctx), append([]string{"ducklens"}, os.Args[1:]...), os.Stdin, os.Stdout, os.Stderr)
			stop()
			time.Sleep(500 * time.Millisecond)
			os.Exit(code)
		},
		"wedge": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			wedge(ctx)
		},
	})
}

// TestScripts runs the scripts in testdata/script. $MODEL is the demo model (4 layers, 4 heads), and gpt2 a
// model of 12 layers with 16 heads, so that scripts can use commands as users write them.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, params(t, "testdata/script"))
}

// params are the settings of a run over a folder of scripts.
func params(t *testing.T, dir string) testscript.Params {
	small, large := demoModel(t), largeModel(t)
	return testscript.Params{
		Dir:                dir,
		RequireUniqueNames: true,
		// A slow machine is no fault: the test binary has a limit of its own.
		Deadline: time.Now().Add(24 * time.Hour),
		Setup: func(env *testscript.Env) error {
			env.Setenv("MODEL", small)
			env.Setenv("NODE_PATH", os.Getenv("DUCKLENS_NODE_MODULES"))
			return os.Symlink(large, filepath.Join(env.WorkDir, "gpt2"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"model": modelCommand,
			"made":  madeCommand(t),
			"demonstration": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: demonstration DIR")
				}
				copyTree(t, demoFolder(t), ts.MkAbs(args[0])) // what ducklens demo has left
			},
			"edit":      editCommand,
			"truncate":  truncateCommand,
			"glob":      globCommand,
			"overwrite": overwriteCommand,
			"lock":      lockCommand,
			"sql":       sqlCommand,
			"npy":       npyCommand,
			"code":      codeCommand,
			"profile":   profileCommand,
		},
	}
}

// tile writes to a folder a model with the weights of the demo's three times over: 12 layers of 16 heads.
func tile(large string) error {
	const times = 3
	if err := demo.Extract(large); err != nil {
		return err
	}
	weights := filepath.Join(large, "model.safetensors")
	file, err := os.ReadFile(weights)
	if err != nil {
		return err
	}
	type info struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	n := 8 + binary.LittleEndian.Uint64(file)
	var header map[string]json.RawMessage
	if err := json.Unmarshal(file[8:n], &header); err != nil {
		return err
	}
	tiled, data := map[string]info{}, []byte(nil)
	for name, raw := range header {
		if name == "__metadata__" {
			continue
		}
		var i info
		if err := json.Unmarshal(raw, &i); err != nil {
			return err
		}
		names := []string{name}
		if parts := strings.SplitN(name, ".", 3); parts[0] == "h" {
			names = nil
			layer, err := strconv.Atoi(parts[1])
			if err != nil {
				return err
			}
			for r := range times {
				names = append(names, fmt.Sprintf("h.%d.%s", layer+4*r, parts[2]))
			}
		}
		content := file[n:][i.Offsets[0]:i.Offsets[1]]
		for _, name := range names {
			i.Offsets = [2]int{len(data), len(data) + len(content)}
			tiled[name] = i
			data = append(data, content...)
		}
	}
	text, err := json.Marshal(tiled)
	if err != nil {
		return err
	}
	file = binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	file = append(append(file, text...), data...)
	if err := os.WriteFile(weights, file, 0o644); err != nil {
		return err
	}
	path := filepath.Join(large, "config.json")
	config, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	config = []byte(strings.NewReplacer(`"n_head": 4`, `"n_head": 16`, `"n_layer": 4`, `"n_layer": 12`).Replace(string(config)))
	return os.WriteFile(path, config, 0o644)
}

// model DIR writes the demo model to DIR.
func modelCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: model DIR")
	}
	ts.Check(demo.Extract(ts.MkAbs(args[0])))
}

// made FILE FLAG...: copies to FILE what ducklens ingest makes of the demo's model with the flags, which all
// scripts have made once.
func madeCommand(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < 2 {
			ts.Fatalf("usage: made FILE FLAG...")
		}
		runCopy(t, ts.MkAbs(args[0]), args[1:]...)
	}
}

// edit FILE REGEXP NEW: replaces every match in a file, of which there must be one.
func editCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE REGEXP NEW")
	}
	path, pattern := ts.MkAbs(args[0]), regexp.MustCompile(args[1])
	text, err := os.ReadFile(path)
	ts.Check(err)
	if !pattern.Match(text) {
		ts.Fatalf("%s has no %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(path, pattern.ReplaceAll(text, []byte(args[2])), 0o644))
}

// truncate FILE BYTES truncates a file to a length or, if negative, removes bytes at its end.
func truncateCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: truncate FILE BYTES")
	}
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	path := ts.MkAbs(args[0])
	if found, err := filepath.Glob(path); err == nil && len(found) > 0 {
		path = found[0]
	}
	if n < 0 {
		stat, err := os.Stat(path)
		ts.Check(err)
		n += stat.Size()
	}
	ts.Check(os.Truncate(path, n))
}

// glob PATTERN N checks that N files match.
func globCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: glob PATTERN N")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	found, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(found) != want {
		ts.Fatalf("%d files match %s, want %d: %v", len(found), args[0], want, found)
	}
}

// overwrite FILE OFFSET HEX overwrites bytes of a file.
func overwriteCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: overwrite FILE OFFSET HEX")
	}
	offset, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	content, err := hex.DecodeString(args[2])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt(content, offset)
	ts.Check(err)
	ts.Check(f.Close())
}

// lock FILE keeps a database file open for writing, in this process, until the script ends.
func lockCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lock FILE")
	}
	db, err := sql.Open("duckdb", ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { db.Close() })
	ts.Check(db.Ping())
}

// sql FILE STATEMENT changes a database file with DuckDB itself.
func sqlCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sql.Open("duckdb", ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(err)
	ts.Check(db.Close())
}

// npy FILE RULE DIMENSION... writes an array of float32. The rule is varied, zero, or nan for a NaN in one
// place.
func npyCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: npy FILE varied|zero|nan DIMENSION...")
	}
	n, shape := 1, make([]int, len(args)-2)
	for i, a := range args[2:] {
		d, err := strconv.Atoi(a)
		ts.Check(err)
		n, shape[i] = n*d, d
	}
	values := make([]float32, n)
	for i := range values {
		if args[1] != "zero" {
			values[i] = float32(math.Sin(float64(i * i)))
		}
	}
	if args[1] == "nan" {
		values[n/2] = float32(math.NaN())
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), npyFile(shape, values), 0o644))
}

// npyFile returns a NumPy file with an array of float32.
func npyFile(shape []int, values []float32) []byte {
	sizes := strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]")
	if len(shape) == 1 {
		sizes += ","
	}
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", sizes)
	header += strings.Repeat(" ", 63-(len(header)+10)%64) + "\n"
	file := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(header)))...)
	file = append(file, header...)
	for _, v := range values {
		file = binary.LittleEndian.AppendUint32(file, math.Float32bits(v))
	}
	return file
}

// profile FILE WORD checks that FILE is a compressed profile that contains a word.
func profileCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: profile FILE WORD")
	}
	file, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	unzipped, err := gzip.NewReader(bytes.NewReader(file))
	ts.Check(err)
	text, err := io.ReadAll(unzipped)
	ts.Check(err)
	if !bytes.Contains(text, []byte(args[1])) {
		ts.Fatalf("%s, a profile of %d bytes, does not have %s", args[0], len(text), args[1])
	}
}

// code N COMMAND... runs a command and checks its exit code.
func codeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}
