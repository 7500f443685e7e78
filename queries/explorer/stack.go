package explorer

import (
	"sync"

	"ducklens/queries/session"
)

// stack holds free sessions. Receive from ready before calling take.
type stack struct {
	ready chan struct{} // one value for each place

	mu     sync.Mutex
	places []*session.Session
}

func newStack(n int) *stack {
	s := &stack{ready: make(chan struct{}, n)}
	for range n {
		s.put(nil)
	}
	return s
}

// take returns the place on top.
func (s *stack) take() *session.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	top := len(s.places) - 1
	taken := s.places[top]
	s.places = s.places[:top]
	return taken
}

// put puts a place on top, or below all sessions if it has none.
func (s *stack) put(one *session.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one == nil {
		s.places = append([]*session.Session{nil}, s.places...)
	} else {
		s.places = append(s.places, one)
	}
	s.ready <- struct{}{}
}
