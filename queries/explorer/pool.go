package explorer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"ducklens/queries/session"
)

// file is an open file, with sessions that each answer one question at a time.
type file struct {
	File
	open func(ctx context.Context) (*session.Session, error)
	// free has a place for each session; nil if it is not open. The session used last is on top, because it
	// has created the views that questions use.
	free   *stack
	schema atomic.Pointer[objects] // nil until a page requests it
}

// openFile opens a file's first session, which shows whether the file can be read at all.
func openFile(ctx context.Context, f File, o Options) (*file, error) {
	opened := &file{File: f, free: newStack(o.Connections)}
	opened.open = func(ctx context.Context) (*session.Session, error) { return o.Open(ctx, f.Path) }
	first, err := opened.open(ctx)
	if err != nil {
		return nil, err
	}
	<-opened.free.ready
	opened.free.take()
	opened.free.put(first)
	return opened, nil
}

// patience is how long a question may go on that nobody waits for any more. Most end sooner, and then their
// session stays: opening another costs more than what it would answer for the next view.
const patience = 300 * time.Millisecond

// patient returns a context that ends some time after ctx, and a function that ends it.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	later, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(patience):
			end()
		case <-later.Done():
		}
	})
	return later, func() {
		stop()
		end()
	}
}

// with runs f with a session. A session whose question was interrupted is closed and replaced, so that the
// next question finds nothing half made.
func (f *file) with(ctx context.Context, ask func(context.Context, *session.Session) error) (err error) {
	select {
	case <-f.free.ready:
	case <-ctx.Done():
		return errGone
	}
	gone := ctx
	ctx, end := patient(ctx)
	defer end()
	s := f.free.take()
	defer func() { f.free.put(s) }()
	if s == nil {
		if s, err = f.open(ctx); err != nil {
			return fmt.Errorf("open %s once more: %w", f.Path, err)
		}
	}
	if gone.Err() != nil {
		return errGone
	}
	err = ask(ctx, s)
	if ctx.Err() != nil || errors.Is(err, session.ErrTime) || errors.Is(err, session.ErrMemory) ||
		errors.Is(err, session.ErrAbandoned) {
		err = errors.Join(err, s.Close())
		s = nil
	}
	return err
}

// close closes the free sessions.
func (f *file) close() error {
	var faults []error
	for {
		select {
		case <-f.free.ready:
			if s := f.free.take(); s != nil {
				faults = append(faults, s.Close())
			}
		default:
			return errors.Join(faults...)
		}
	}
}
