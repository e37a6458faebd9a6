package config

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
)

// unsupported lists the options that are known but not acted on yet. One that
// is in the file is an error, its default written out too, unless it has the
// value given here, which asks for what this version does anyway. The list
// shrinks as features arrive.
var unsupported = map[string]any{
	"storage.driver": "disk",
	"hub":            nil,
}

// stringDecoder is what a type implements to be written as a string. The error
// is the rule.
type stringDecoder interface {
	decodeString(s string) error
}

// decoder fills a Config from a tree and collects what does not fit.
type decoder struct {
	cfg  *Config
	errs []*Error
}

func decodeTree(cfg *Config, root *node) []*Error {
	d := &decoder{cfg: cfg}
	d.decode(root, reflect.ValueOf(cfg).Elem())
	return d.errs
}

func (d *decoder) fail(n *node, format string, args ...any) {
	d.errs = append(d.errs, &Error{File: d.cfg.file, Line: n.line, Key: n.key, Rule: fmt.Sprintf(format, args...)})
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// decode stores a node in v, which holds the default.
func (d *decoder) decode(n *node, v reflect.Value) {
	d.cfg.lines[n.key] = n.line
	also, refused := unsupported[indexes.ReplaceAllString(n.key, "[]")]
	failed := len(d.errs)
	d.set(n, v)
	if refused && len(d.errs) == failed && !reflect.DeepEqual(v.Interface(), also) {
		d.fail(n, "is not supported by this version")
	}
}

func (d *decoder) set(n *node, v reflect.Value) {
	if dec, ok := reflect.TypeAssert[stringDecoder](v.Addr()); ok {
		if s, ok := n.value.(string); ok {
			if err := dec.decodeString(s); err != nil {
				d.fail(n, "%s", err)
			}
			return
		}
		switch {
		case v.Type() == reflect.TypeFor[Bucket](): // or an object
		case v.Kind() != reflect.Slice:
			d.fail(n, "must be a string")
			return
		case !isList(n):
			d.fail(n, "must be a string or a list of strings")
			return
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(n, v)
	case reflect.Slice:
		d.list(n, v)
	case reflect.String:
		if s, ok := n.value.(string); ok {
			v.SetString(s)
		} else {
			d.fail(n, "must be a string")
		}
	case reflect.Bool:
		if b, ok := n.value.(bool); ok {
			v.SetBool(b)
		} else {
			d.fail(n, "must be true or false")
		}
	case reflect.Int:
		d.int(n, v)
	default:
		panic("config: no decoding for " + v.Type().String())
	}
}

func (d *decoder) int(n *node, v reflect.Value) {
	num, ok := n.value.(json.Number)
	if !ok {
		d.fail(n, "must be a number")
		return
	}
	// 32 bits, so that a file means the same on every machine.
	i, err := strconv.ParseInt(num.String(), 10, 32)
	if err != nil {
		d.fail(n, "must be a whole number from %d to %d", math.MinInt32, math.MaxInt32)
		return
	}
	v.SetInt(i)
}

func isList(n *node) bool {
	_, ok := n.value.([]*node)
	return ok
}

func (d *decoder) list(n *node, v reflect.Value) {
	elems, ok := n.value.([]*node)
	if !ok {
		d.fail(n, "must be a list")
		return
	}
	if len(elems) == 0 {
		v.SetZero() // not an empty slice, so that it equals a default
		return
	}
	s := reflect.MakeSlice(v.Type(), len(elems), len(elems))
	for i, e := range elems {
		d.decode(e, s.Index(i))
	}
	v.Set(s)
}

func (d *decoder) object(n *node, v reflect.Value) {
	members, ok := n.value.([]member)
	if !ok {
		if v.Type() == reflect.TypeFor[Bucket]() {
			d.fail(n, "must be a token or an object")
		} else {
			d.fail(n, "must be an object")
		}
		return
	}
	fields := make(map[string]reflect.Value)
	names := make([]string, 0, v.NumField())
	for f, fv := range v.Fields() {
		if name := f.Tag.Get("json"); name != "" {
			fields[name] = fv
			names = append(names, name)
		}
	}
	first := make(map[string]int)
	for _, m := range members {
		if line, ok := first[m.name]; ok {
			d.fail(m.node, "given twice, first on line %d", line)
			continue
		}
		first[m.name] = m.node.line
		field, ok := fields[m.name]
		switch {
		case ok:
			d.decode(m.node, field)
		case nearest(m.name, names) != "":
			d.fail(m.node, "unknown key (did you mean %q?)", nearest(m.name, names))
		default:
			d.fail(m.node, "unknown key")
		}
	}
}
