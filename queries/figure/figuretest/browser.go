package figuretest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Browse runs a node script that drives a headless Chromium by playwright-core, and parses the JSON that it
// prints into found. The script's arguments are the path of the browser, then args.
//
// It needs DUCKLENS_NODE_MODULES, a node_modules folder with playwright-core (.ci/run makes one), and a
// Chromium, in DUCKLENS_CHROMIUM or on the path. If one is missing, the test is skipped with a message that
// says which.
func Browse(tb testing.TB, found any, script string, args ...string) {
	tb.Helper()
	modules := os.Getenv("DUCKLENS_NODE_MODULES")
	if modules == "" {
		tb.Skip("DUCKLENS_NODE_MODULES is not set: npm install playwright-core somewhere, and name its node_modules")
	}
	if _, err := os.Stat(filepath.Join(modules, "playwright-core")); err != nil {
		tb.Skipf("there is no playwright-core in %s", modules)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		tb.Skip("there is no node")
	}
	browser := os.Getenv("DUCKLENS_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if browser == "" {
			if path, err := exec.LookPath(name); err == nil {
				browser = path
			}
		}
	}
	if browser == "" {
		tb.Skip("there is no Chromium on the path, and DUCKLENS_CHROMIUM is not set")
	}
	cmd := exec.CommandContext(tb.Context(), node, append([]string{script, browser}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s: %v\n%s%s", script, err, output, stderr.String())
	}
	if err := json.Unmarshal(output, found); err != nil {
		tb.Fatalf("%s: %v\n%s", script, err, output)
	}
}
