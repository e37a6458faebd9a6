package s3

import (
	"errors"
	"net/http"
)

// aclXML may have as many grants as Amazon's.
var aclXML = document{root: "AccessControlPolicy", limit: 64 << 10, row: "Grant", rows: 100}

// accessPolicy is an access control list as clients send it.
type accessPolicy struct {
	Owner             struct{ ID string }
	AccessControlList struct {
		Grant []struct {
			Grantee    struct{ ID, EmailAddress, URI string }
			Permission string
		}
	}
}

// private says whether a list is the only one that there is: the owner may do everything, and nobody else anything.
func (p *accessPolicy) private(owner string) bool {
	for _, g := range p.AccessControlList.Grant {
		if g.Grantee.ID != owner || g.Grantee.EmailAddress != "" || g.Grantee.URI != "" || g.Permission != "FULL_CONTROL" {
			return false
		}
	}
	return p.Owner.ID == owner && len(p.AccessControlList.Grant) > 0
}

// aclTarget fails when what the list is of is not there; the bucket was looked for before.
func (q *request) aclTarget() error {
	if q.key == "" {
		return nil
	}
	_, err := q.s.store.Stat(q.r.Context(), q.bucket, q.key)
	return err
}

// getACL implements GetBucketAcl and GetObjectAcl. Whoever comes here is of the owner.
func (q *request) getACL() error {
	if err := q.aclTarget(); err != nil {
		return err
	}
	x := newXML()
	x.root("AccessControlPolicy")
	x.owner("Owner", q.id.owner())
	x.open("AccessControlList")
	x.open("Grant")
	x.WriteString(`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`)
	x.elem("ID", ownerID(q.id.owner()))
	x.elem("DisplayName", ownerID(q.id.owner()))
	x.close("Grantee")
	x.elem("Permission", "FULL_CONTROL")
	x.close("Grant")
	x.close("AccessControlList")
	x.close("AccessControlPolicy")
	return q.sendXML(x)
}

// putACL implements PutBucketAcl and PutObjectAcl for the list that is there anyway; no other can be set. The header for
// canned lists was looked at with all headers.
func (q *request) putACL() error {
	var p accessPolicy
	sent, err := q.readXML(aclXML, &p)
	if e, ok := errors.AsType[*apiError](err); ok && e.code == malformedXML.code {
		return malformedACL.err().because(e.cause)
	}
	if err != nil {
		return err
	}
	canned := q.r.Header["X-Amz-Acl"] != nil
	switch {
	case sent && canned:
		return invalidRequest.says("Specifying both Canned ACLs and an access control list is not allowed").err()
	case !sent && !canned:
		return missingSecurityHeader.err("MissingHeaderName", "x-amz-acl")
	case sent && p.Owner.ID == "":
		return malformedACL.err()
	case sent && !p.private(ownerID(q.id.owner())):
		return notImplemented.says("An access control list you provided implies functionality that is not implemented: only the private one is").err()
	}
	if err := q.aclTarget(); err != nil {
		return err
	}
	q.send(http.StatusOK)
	return nil
}
