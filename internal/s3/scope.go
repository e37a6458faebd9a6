package s3

import (
	"slices"
	"strings"
)

// action is what an operation does, as scopes see it.
type action uint16

const (
	actNone        action = 0         // touches nothing
	actListBuckets action = 1 << iota // names of buckets
	actProbe                          // that a bucket is there, and its region
	actMakeBucket
	actDropBucket
	actList
	actRead
	actCreate    // put under a new key
	actOverwrite // put under a key that may exist
	actDelete
)

const (
	mayRead  = actListBuckets | actProbe | actList | actRead
	mayWrite = mayRead | actMakeBucket | actCreate | actOverwrite | actDelete
)

// modes says what each Key.Mode allows.
var modes = map[string]action{
	"":       mayWrite | actDropBucket,
	"read":   mayRead,
	"write":  mayWrite,
	"create": actProbe | actCreate,
}

// identity is who asks, after verification. The zero identity may do nothing.
type identity struct {
	key       *Key
	anybody   bool // the door has no keys: everything is allowed
	presigned bool
	signed    bool // the request bears a signature; on a door without keys it was not looked at
}

// owner is whose buckets this identity makes and sees.
func (id identity) owner() string {
	if id.key == nil {
		return ""
	}
	return id.key.Owner
}

// can says whether the identity's mode allows an action somewhere.
func (id identity) can(act action) bool {
	return id.anybody || id.key != nil && modes[id.key.Mode]&act == act
}

// seesBucket says whether a bucket is in the identity's scope.
func (id identity) seesBucket(bucket string) bool {
	return id.anybody || id.key != nil && (id.key.Buckets == nil || slices.Contains(id.key.Buckets, bucket))
}

// seesKey says whether an object key, or a prefix of keys, is in the identity's scope.
func (id identity) seesKey(key string) bool {
	return id.anybody || id.key != nil && strings.HasPrefix(key, id.key.Prefix)
}

// allows decides on an action: bucket and key are empty where the action has none; for actList key is the prefix asked
// for. Actions on a whole bucket are not for keys that are limited to a prefix.
func (id identity) allows(act action, bucket, key string) bool {
	if act == actNone {
		return true
	}
	if !id.can(act) || bucket != "" && !id.seesBucket(bucket) {
		return false
	}
	switch act {
	case actListBuckets, actProbe:
		return true
	default:
		return id.seesKey(key) // a bucket's own key is "", which only an empty prefix begins
	}
}

// authorise is the one place where scopes and owners are enforced. It asks the store for nothing but the bucket, and for
// that only when the scope allows the action.
func (q *request) authorise(act action, bucket, key string) error {
	if !q.id.allows(act, bucket, key) {
		return accessDenied.err()
	}
	if bucket == "" || act == actMakeBucket {
		return nil
	}
	b, err := q.s.store.Bucket(q.r.Context(), bucket)
	if err != nil {
		return err
	}
	if b.Owner != q.id.owner() {
		return accessDenied.err()
	}
	return nil
}

// expectOwner answers x-amz-expected-bucket-owner and its like for copy sources. Whoever comes here owns the bucket.
func (q *request) expectOwner(header string) error {
	if want := q.r.Header.Get(header); want != "" && want != ownerID(q.id.owner()) {
		return accessDenied.err()
	}
	return nil
}

// defaultOwner is what answers call the owner of keys that name none.
const defaultOwner = "default"

// ownerID is how an owner is called in answers.
func ownerID(owner string) string {
	if owner == "" {
		return defaultOwner
	}
	return owner
}
