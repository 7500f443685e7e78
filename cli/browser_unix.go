//go:build unix

package cli

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// A browser is a shell that waits for an address to open. It starts before the process gives up the right to
// run programs.
type browser struct{ address io.WriteCloser }

// newBrowser starts the program that opens addresses on this system. It returns nil if there is no display.
func newBrowser() *browser {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	} else if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	if _, err := exec.LookPath(program); err != nil {
		return nil
	}
	cmd := exec.Command("/bin/sh", "-c", `read -r address && exec `+program+` "$address"`)
	// the browser must survive the interrupt that ends the explorer
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	address, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return nil
	}
	go func() { _ = cmd.Wait() }() // the user sees whether a browser opens
	return &browser{address}
}

// open opens an address. Everybody on the machine can read it in the list of processes.
func (b *browser) open(address string) {
	_, _ = io.WriteString(b.address, address+"\n")
	_ = b.address.Close()
}
