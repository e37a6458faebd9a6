package s3

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

const (
	// maxBucketPage is the most buckets that one answer lists.
	maxBucketPage = 10000
)

// createXML has a few elements.
var createXML = document{root: "CreateBucketConfiguration", limit: 64 << 10}

// createBucket implements CreateBucket.
func (q *request) createBucket() error {
	var conf struct {
		LocationConstraint string
		Location           *struct{} // of a directory bucket
		Bucket             *struct{} // the same
		Tags               *struct{}
	}
	if _, err := q.readXML(createXML, &conf); err != nil {
		return err
	}
	if conf.Location != nil || conf.Bucket != nil || conf.Tags != nil {
		return notImplemented.says("The bucket configuration you provided implies functionality that is not implemented").err()
	}
	if r := conf.LocationConstraint; r != "" && r != q.s.cfg.Region && q.s.cfg.StrictRegion {
		return illegalLocation.says("The %s location constraint is incompatible for the region specific endpoint this request was sent to.", r).err()
	}
	ctx := q.r.Context()
	err := q.s.store.CreateBucket(ctx, q.bucket, q.id.owner())
	if errors.Is(err, object.ErrBucketExists) {
		if b, berr := q.s.store.Bucket(ctx, q.bucket); berr == nil && b.Owner == q.id.owner() {
			return bucketAlreadyOwned.err("BucketName", q.bucket)
		}
	}
	if err != nil {
		return err
	}
	q.w.Header()["Location"] = []string{"/" + q.bucket}
	q.send(http.StatusOK)
	return nil
}

// headBucket implements HeadBucket.
func (q *request) headBucket() error {
	h := q.w.Header()
	h["x-amz-bucket-region"] = []string{q.s.cfg.Region}
	h["Content-Type"] = []string{"application/xml"}
	q.send(http.StatusOK)
	return nil
}

// deleteBucket implements DeleteBucket.
func (q *request) deleteBucket() error {
	if err := q.s.store.DeleteBucket(q.r.Context(), q.bucket); err != nil {
		return err
	}
	q.send(http.StatusNoContent)
	return nil
}

// getBucketLocation implements GetBucketLocation: the default region goes without a name.
func (q *request) getBucketLocation() error {
	x := newXML()
	x.root("LocationConstraint")
	if q.s.cfg.Region != DefaultRegion {
		x.text(q.s.cfg.Region)
	}
	x.close("LocationConstraint")
	return q.sendXML(x)
}

// listBuckets implements ListBuckets: those of the caller's owner and scope.
func (q *request) listBuckets() error {
	limit, paged := maxBucketPage, len(q.query) > 0
	if v, ok := q.query.find("max-buckets"); ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxBucketPage {
			return badArgument("max-buckets", v, "Argument max-buckets must be an integer between 1 and 10000")
		}
		limit = n
	}
	prefix := q.query.get("prefix")
	start := prefix
	if v := q.query.get("continuation-token"); v != "" {
		next, ok := q.openToken(v)
		if !ok {
			return badArgument("continuation-token", v, "The continuation token provided is incorrect")
		}
		start = max(start, next)
	}
	if r := q.query.get("bucket-region"); r != "" && r != q.s.cfg.Region {
		limit = 0
	}
	found, next, err := q.ownBuckets(start, prefix, limit)
	if err != nil {
		return err
	}
	x := newXML()
	x.root("ListAllMyBucketsResult")
	x.owner("Owner", q.id.owner())
	x.open("Buckets")
	for _, b := range found {
		x.open("Bucket")
		x.elem("Name", b.Name)
		x.time("CreationDate", b.Created)
		if paged {
			x.elem("BucketRegion", q.s.cfg.Region)
		}
		x.close("Bucket")
	}
	x.close("Buckets")
	if prefix != "" {
		x.elem("Prefix", prefix)
	}
	if next != "" {
		x.elem("ContinuationToken", q.sealToken(next))
	}
	x.close("ListAllMyBucketsResult")
	return q.sendXML(x)
}

// ownBuckets returns up to limit buckets that the caller owns and sees, and the name of the next one if there is one.
func (q *request) ownBuckets(start, prefix string, limit int) (found []object.Bucket, next string, err error) {
	if limit <= 0 {
		return nil, "", nil
	}
	for b, err := range q.s.store.AllBuckets(q.r.Context(), start, min(limit+1, 1000)) {
		if err != nil {
			return nil, "", err
		}
		switch {
		case !strings.HasPrefix(b.Name, prefix):
			if b.Name > prefix {
				return found, "", nil
			}
		case b.Owner != q.id.owner() || !q.id.seesBucket(b.Name):
		case len(found) == limit:
			return found, b.Name, nil
		default:
			found = append(found, b)
		}
	}
	return found, "", nil
}

// owner writes an owner as Amazon names them.
func (x *xmlDoc) owner(elem, owner string) {
	x.open(elem)
	x.elem("ID", ownerID(owner))
	x.elem("DisplayName", ownerID(owner))
	x.close(elem)
}
