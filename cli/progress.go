package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"ducklens/ingest"
)

// A progressBar shows how far a run has come: a bar where its writer is a terminal, else a line now and then.
type progressBar struct {
	container *mpb.Progress
	bar       *mpb.Bar
	out       io.Writer
	terminal  bool
	between   time.Duration
	now       func() time.Time
	began     time.Time
	first     int       // prompts that were there at the beginning, of a run that is resumed
	said      time.Time // the last line
}

// betweenLines is the time from line to line. A short run has none.
const betweenLines = 10 * time.Second

// progressLines is the environment variable that asks for a line soon after each batch, for programs that show
// them in place of each other.
const progressLines = "DUCKLENS_PROGRESS"

// newProgressBar makes a bar on out. Call stop before anything else is written there.
func newProgressBar(out io.Writer) *progressBar {
	f, ok := out.(*os.File)
	between := betweenLines
	if os.Getenv(progressLines) == "lines" {
		between = time.Second / 4
	}
	return &progressBar{out: out, now: time.Now, between: between, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// show is an [ingest.Options.Progress].
func (p *progressBar) show(at ingest.Progress) {
	now := p.now()
	if p.began.IsZero() {
		p.began, p.said, p.first = now, now, at.Prompts
	}
	pace := p.pace(at, now)
	if !p.terminal {
		if now.Sub(p.said) >= p.between && at.Prompts < at.Total {
			p.said = now
			fmt.Fprintf(p.out, "%d of %d prompts%s\n", at.Prompts, at.Total, pace)
		}
		return
	}
	if p.bar == nil {
		p.container = mpb.New(mpb.WithOutput(p.out), mpb.WithWidth(60))
		p.bar = p.container.AddBar(int64(at.Total), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.CountersNoUnit("%d of %d prompts ")),
			mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
				return p.pace(ingest.Progress{Prompts: int(s.Current), Total: int(s.Total)}, p.now())
			})))
	}
	p.bar.SetCurrent(int64(at.Prompts))
}

// pace says how many prompts are done in a second, and how long the rest takes; "" before any is.
func (p *progressBar) pace(at ingest.Progress, now time.Time) string {
	done, took := at.Prompts-p.first, now.Sub(p.began)
	if done <= 0 || took <= 0 {
		return ""
	}
	each := took / time.Duration(done)
	return fmt.Sprintf(", %.3g a second, %s left", float64(done)/took.Seconds(), (each * time.Duration(at.Total-at.Prompts)).Round(time.Second))
}

// stop takes the bar away.
func (p *progressBar) stop() {
	if p.bar == nil {
		return
	}
	p.bar.Abort(true)
	p.container.Wait()
	p.bar = nil
}
