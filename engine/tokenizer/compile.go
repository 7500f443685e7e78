package tokenizer

// compiler generates the instructions for a tree.
type compiler struct {
	code  []inst
	nodes int // nodes of the tree, each counted as often as it is written out; a node may have no instruction
}

func (c *compiler) add(i inst) int {
	c.code = append(c.code, i)
	return len(c.code) - 1
}

func (c *compiler) emit(n *node) error {
	if c.nodes++; len(c.code) > maxInstructions || c.nodes > 4*maxInstructions {
		return fault("more than %d instructions", maxInstructions)
	}
	switch n.kind {
	case nodeSet:
		c.add(inst{op: opChar, set: n.set})
	case nodeSequence:
		for _, part := range n.parts {
			if err := c.emit(part); err != nil {
				return err
			}
		}
	case nodeChoice:
		return c.choice(n.parts)
	case nodeRepeat:
		return c.repeat(n)
	case nodeLook, nodeAtomic:
		op := opLook
		if n.kind == nodeAtomic {
			op = opAtomic
		}
		return c.enclosed(inst{op: op, negative: n.negative}, func() error { return c.emit(n.parts[0]) })
	case nodeAnchor:
		c.add(inst{op: n.anchor, negative: n.negative})
	}
	return nil
}

func (c *compiler) enclosed(head inst, body func() error) error {
	at := c.add(head)
	if err := body(); err != nil {
		return err
	}
	c.code[at].x = c.add(inst{op: opMatch}) + 1
	return nil
}

func (c *compiler) choice(parts []*node) error {
	var jumps []int
	for i, part := range parts {
		split := -1
		if i < len(parts)-1 {
			split = c.add(inst{op: opSplit, x: len(c.code) + 1})
		}
		if err := c.emit(part); err != nil {
			return err
		}
		if split >= 0 {
			jumps = append(jumps, c.add(inst{op: opJump}))
			c.code[split].y = len(c.code)
		}
	}
	for _, at := range jumps {
		c.code[at].x = len(c.code)
	}
	return nil
}

func (c *compiler) repeat(n *node) error {
	if n.possessive {
		if body := n.parts[0]; body.kind == nodeSet && n.max < 0 {
			for range n.min {
				c.add(inst{op: opChar, set: body.set})
			}
			c.add(inst{op: opStar, set: body.set, possessive: true})
			return nil
		}
		greedy := *n
		greedy.possessive = false
		return c.enclosed(inst{op: opAtomic}, func() error { return c.repeat(&greedy) })
	}
	body := n.parts[0]
	switch {
	case n.min > maxRepeat || n.max > maxRepeat:
		return fault("{%d,%d}, want at most %d repetitions", n.min, n.max, maxRepeat)
	case n.max >= 0 && n.max < n.min:
		return fault("{%d,%d}, want the smaller number first", n.min, n.max)
	case n.max < 0 && body.empty():
		return fault("endless repetition of what may be empty")
	}
	for range n.min {
		if err := c.emit(body); err != nil {
			return err
		}
	}
	if n.max < 0 {
		return c.star(body, n.lazy)
	}
	var splits []int
	for range n.max - n.min {
		splits = append(splits, c.add(inst{op: opSplit}))
		if err := c.emit(body); err != nil {
			return err
		}
	}
	for _, at := range splits {
		c.fork(at, at+1, len(c.code), n.lazy)
	}
	return nil
}

// fork sets the choice at an instruction: another round first or, if lazy, what follows first.
func (c *compiler) fork(at, round, after int, lazy bool) {
	if lazy {
		round, after = after, round
	}
	c.code[at].x, c.code[at].y = round, after
}

func (c *compiler) star(body *node, lazy bool) error {
	if body.kind == nodeSet && !lazy {
		c.add(inst{op: opStar, set: body.set})
		return nil
	}
	split := c.add(inst{op: opSplit})
	if err := c.emit(body); err != nil {
		return err
	}
	c.add(inst{op: opJump, x: split})
	c.fork(split, split+1, len(c.code), lazy)
	return nil
}
