package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tailscale/hujson"
)

// Draft is the text of a configuration that is being changed. What a change does not concern stays as somebody wrote it, to
// the byte: order, indentation, the way numbers and strings are written. What is added is written as its neighbours are.
// Buckets and tokens are named by their indexes, as in Config. What a Draft makes is not checked: Load it.
type Draft struct {
	root hujson.Value
}

// Member is a name and a string value of an object.
type Member struct{ Name, Value string }

// NewDraft begins to change a text, which must be a valid configuration.
func NewDraft(text []byte) (*Draft, error) {
	root, err := hujson.Parse(slices.Clone(text))
	if err != nil {
		return nil, fmt.Errorf("edit configuration: %w", err)
	}
	if _, ok := root.Value.(*hujson.Object); !ok {
		return nil, errors.New("edit configuration: it is no object")
	}
	return &Draft{root}, nil
}

// Bytes returns the text as it is now.
func (d *Draft) Bytes() []byte { return d.root.Pack() }

// AddBucket appends a bucket to the list, which is made when it is missing.
func (d *Draft) AddBucket(members ...Member) error {
	list, err := d.list()
	if err != nil {
		return err
	}
	bucket := &hujson.Object{}
	var like *hujson.Object // the last bucket that is written as an object
	for _, e := range list.Elements {
		if o, ok := e.Value.(*hujson.Object); ok && len(o.Members) > 0 {
			like = o
		}
	}
	for _, m := range members {
		addMember(bucket, like, m.Name, hujson.String(m.Value))
	}
	appendElement(list, bucket)
	return nil
}

// RemoveBucket takes a bucket off the list.
func (d *Draft) RemoveBucket(bucket int) error {
	list, err := d.list()
	if err != nil {
		return err
	}
	return removeElement(list, bucket)
}

// AddToken gives a bucket one more token.
func (d *Draft) AddToken(bucket int, token string) error {
	return d.addTo(bucket, token, "token", "tokens")
}

// AddDigest gives a bucket one more token, by its SHA-256 in hex.
func (d *Draft) AddDigest(bucket int, digest string) error {
	return d.addTo(bucket, digest, "token_sha256", "token_sha256")
}

// addTo adds a value to a bucket: to the list "many", which is made of the value "one" when there is that, or as "one".
func (d *Draft) addTo(bucket int, value, one, many string) error {
	o, err := d.bucket(bucket)
	if err != nil {
		return err
	}
	m := memberOf(o, many)
	if m == nil {
		m = memberOf(o, one)
	}
	if m == nil {
		addMember(o, o, one, hujson.String(value))
		return nil
	}
	switch was := m.Value.Value.(type) {
	case *hujson.Array:
		appendElement(was, hujson.String(value))
	case hujson.Literal:
		if was.Kind() != '"' {
			return fmt.Errorf("%s.%s is no string and no list", Index("buckets", bucket), many)
		}
		m.Name.Value = hujson.String(many)
		list := &hujson.Array{Elements: []hujson.ArrayElement{{Value: was}}}
		appendElement(list, hujson.String(value))
		m.Value.Value = list
	default:
		return fmt.Errorf("%s.%s is no string and no list", Index("buckets", bucket), many)
	}
	return nil
}

// RemoveToken takes one of a bucket's tokens away: that with an index of the list "name", and the member itself when it has no other.
func (d *Draft) RemoveToken(bucket int, name string, token int) error {
	o, err := d.bucket(bucket)
	if err != nil {
		return err
	}
	m := memberOf(o, name)
	if m == nil {
		return fmt.Errorf("%s has no %s", Index("buckets", bucket), name)
	}
	if list, ok := m.Value.Value.(*hujson.Array); ok && len(list.Elements) != 1 {
		return removeElement(list, token)
	}
	if token != 0 {
		return fmt.Errorf("%s.%s has one element and no index %d", Index("buckets", bucket), name, token)
	}
	removeMember(o, name)
	return nil
}

// list returns the list of buckets.
func (d *Draft) list() (*hujson.Array, error) {
	root, ok := d.root.Value.(*hujson.Object)
	if !ok {
		return nil, errors.New("the configuration is no object")
	}
	if memberOf(root, "buckets") == nil {
		addMember(root, root, "buckets", &hujson.Array{})
	}
	list, ok := memberOf(root, "buckets").Value.Value.(*hujson.Array)
	if !ok {
		return nil, errors.New("buckets is no list")
	}
	return list, nil
}

// bucket returns a bucket that is written as an object.
func (d *Draft) bucket(i int) (*hujson.Object, error) {
	list, err := d.list()
	if err != nil {
		return nil, err
	}
	if i >= 0 && i < len(list.Elements) {
		if o, ok := list.Elements[i].Value.(*hujson.Object); ok {
			return o, nil
		}
	}
	return nil, fmt.Errorf("%s is no object", Index("buckets", i))
}

// memberOf returns a member of an object, or nil.
func memberOf(o *hujson.Object, name string) *hujson.ObjectMember {
	for i := range o.Members {
		if l, ok := o.Members[i].Name.Value.(hujson.Literal); ok && l.String() == name {
			return &o.Members[i]
		}
	}
	return nil
}

// addMember appends a member, with the white space of another object's, or its own, members; like may be nil.
func addMember(o, like *hujson.Object, name string, value hujson.ValueTrimmed) {
	first, next, colon, end := "", " ", " ", ""
	if like != nil && len(like.Members) > 0 {
		m := like.Members
		first, colon, end = string(m[0].Name.BeforeExtra), string(m[0].Value.BeforeExtra), string(like.AfterExtra)
		switch {
		case len(m) > 1:
			next = string(m[1].Name.BeforeExtra)
		case first != "":
			next = first
		}
	}
	before := next
	if len(o.Members) == 0 {
		before = first
	}
	o.Members = append(o.Members, hujson.ObjectMember{
		Name:  hujson.Value{BeforeExtra: hujson.Extra(before), Value: hujson.String(name)},
		Value: hujson.Value{BeforeExtra: hujson.Extra(colon), Value: value},
	})
	o.AfterExtra = hujson.Extra(end)
}

// removeMember takes a member away that is there.
func removeMember(o *hujson.Object, name string) {
	i := slices.IndexFunc(o.Members, func(m hujson.ObjectMember) bool {
		l, ok := m.Name.Value.(hujson.Literal)
		return ok && l.String() == name
	})
	if i == 0 && len(o.Members) > 1 {
		o.Members[1].Name.BeforeExtra = o.Members[0].Name.BeforeExtra
	}
	o.Members = slices.Delete(o.Members, i, i+1)
	if n := len(o.Members); n > 0 {
		o.Members[n-1].Value.AfterExtra = nil // else a comma would follow it
	}
}

// appendElement appends to a list in the way that its elements are written.
func appendElement(list *hujson.Array, value hujson.ValueTrimmed) {
	before := ""
	switch n := len(list.Elements); {
	case n == 1 && len(list.Elements[0].BeforeExtra) == 0:
		before = " "
	case n > 0:
		before = string(list.Elements[n-1].BeforeExtra)
	}
	list.Elements = append(list.Elements, hujson.Value{BeforeExtra: hujson.Extra(before), Value: value})
}

func removeElement(list *hujson.Array, i int) error {
	if i < 0 || i >= len(list.Elements) {
		return fmt.Errorf("there are %d elements and no index %d", len(list.Elements), i)
	}
	if i == 0 && len(list.Elements) > 1 {
		list.Elements[1].BeforeExtra = list.Elements[0].BeforeExtra
	}
	list.Elements = slices.Delete(list.Elements, i, i+1)
	if n := len(list.Elements); n > 0 {
		list.Elements[n-1].AfterExtra = nil // else a comma would follow it
	}
	return nil
}
