package wire

// firstRoom is how many elements a slice has room for before any has been
// decoded; from there append grows it with what really is there.
const firstRoom = 16

func (d *decoder) list(code byte, depth int) (any, error) {
	elements, count, err := d.compound(code)
	if err != nil {
		return nil, err
	}
	l, err := decodeItems(elements, count, depth, &d.empties)
	if err != nil {
		return nil, err
	}
	return List(l), nil
}

// decodeItems decodes exactly count values from exactly b.
func decodeItems(b []byte, count, depth int, empties *int) ([]any, error) {
	if count > len(b) {
		return nil, malformed("compound counts more elements than it has bytes")
	}
	in := decoder{b: b, empties: *empties}
	items := make([]any, 0, min(count, firstRoom))
	for range count {
		v, err := in.value(depth)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	if len(in.b) != 0 {
		return nil, errLong()
	}
	*empties = in.empties
	return items, nil
}

func errLong() error { return malformed("compound is longer than its elements") }

func (d *decoder) mapping(code byte, depth int) (any, error) {
	elements, count, err := d.compound(code)
	if err != nil {
		return nil, err
	}
	if count%2 != 0 {
		return nil, malformed("map has a key without a value")
	}
	if count > len(elements) {
		return nil, malformed("compound counts more elements than it has bytes")
	}
	in := decoder{b: elements, empties: d.empties}
	m := make(Map, 0, min(count/2, firstRoom))
	for range count / 2 {
		k, err := in.value(depth)
		if err != nil {
			return nil, err
		}
		v, err := in.value(depth)
		if err != nil {
			return nil, err
		}
		m = append(m, MapEntry{k, v})
	}
	if len(in.b) != 0 {
		return nil, errLong()
	}
	d.empties = in.empties
	return m, nil
}

func (d *decoder) array(code byte, depth int) (any, error) {
	elements, count, err := d.compound(code)
	if err != nil {
		return nil, err
	}
	in := decoder{b: elements, empties: d.empties}
	var a Array
	c, err := in.byte()
	if err != nil {
		return nil, err
	}
	for c == codeDescribed {
		if depth == 0 {
			return nil, malformed("values nest too deep")
		}
		depth--
		descriptor, err := in.value(depth)
		if err != nil {
			return nil, err
		}
		a.Descriptors = append(a.Descriptors, descriptor)
		if c, err = in.byte(); err != nil {
			return nil, err
		}
	}
	var ok bool
	if a.Type, ok = typeOfCode(c); !ok {
		return nil, malformed("unknown format code")
	}
	if c>>4 == 0x4 {
		if count > in.empties {
			return nil, malformed("array counts too many elements of no width")
		}
		in.empties -= count
	} else if count > len(in.b) {
		return nil, malformed("array counts more elements than it has bytes")
	}
	a.Items = make([]any, 0, min(count, firstRoom))
	for range count {
		v, err := in.body(c, depth)
		if err != nil {
			return nil, err
		}
		a.Items = append(a.Items, v)
	}
	if len(in.b) != 0 {
		return nil, errLong()
	}
	d.empties = in.empties
	return a, nil
}
