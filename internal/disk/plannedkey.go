package disk

import (
	"context"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// plannedKey is a key that a row will stand for, or that is deleted.
type plannedKey struct {
	bucket int64
	key    []byte
	info   []byte // nil deletes
	file   *plannedFile
	brings bool        // something that is not a directory, and more than attributes
	leave  *plannedKey // a marker to be made when no key below it is left; nil for none
}

// planMarker prepares the marker that a change may leave; nil when it leaves none.
func planMarker(bucket int64, marker *object.Info) (*plannedKey, error) {
	if marker == nil {
		return nil, nil //nolint:nilnil // most changes leave none
	}
	info, err := encodeInfo(keyName{marker.Bucket, bucket, marker.Key}, marker)
	return &plannedKey{bucket: bucket, key: blob(marker.Key), info: info}, err
}

// writeMarker makes a marker unless there is a key below it, in the transaction under way.
func (c *committer) writeMarker(ctx context.Context, p *plan, marker *plannedKey) error {
	if marker == nil {
		return nil
	}
	n, _, err := c.countKeys(ctx, marker.bucket, string(marker.key), 1)
	if err != nil || n > 0 {
		return err
	}
	empty := xet.Hash{}
	if err := c.planFile(ctx, p, empty); err != nil {
		return err
	}
	if err := c.writeFile(ctx, p, p.byHash[empty]); err != nil {
		return err
	}
	_, err = c.st.putKey.ExecContext(ctx, marker.bucket, marker.key, p.byHash[empty].id, marker.info)
	return err
}
