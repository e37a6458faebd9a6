package s3

import "net/http"

// setting is something of a bucket that cannot be set yet. Reading it answers as Amazon does where nobody has set it: tools
// take that for what it is, and many give up on 501.
type setting struct {
	selector, op string
	none         answer        // there is no such setting
	root         string        // of the document that says so, where there is one
	write        func(*xmlDoc) // the rest of it; nil when it is empty
}

var settings = []setting{
	{selector: "policy", op: "GetBucketPolicy", none: noSuchPolicy},
	{selector: "policyStatus", op: "GetBucketPolicyStatus", none: noSuchPolicy},
	{selector: "cors", op: "GetBucketCors", none: answer{404, "NoSuchCORSConfiguration", "The CORS configuration does not exist"}},
	{selector: "tagging", op: "GetBucketTagging", none: answer{404, "NoSuchTagSet", "The TagSet does not exist"}},
	{selector: "lifecycle", op: "GetBucketLifecycleConfiguration", none: answer{404, "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"}},
	{selector: "website", op: "GetBucketWebsite", none: answer{404, "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"}},
	{selector: "object-lock", op: "GetObjectLockConfiguration", none: answer{404, "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"}},
	{selector: "ownershipControls", op: "GetBucketOwnershipControls", none: answer{404, "OwnershipControlsNotFoundError", "The bucket ownership controls were not found"}},
	{selector: "publicAccessBlock", op: "GetPublicAccessBlock", none: answer{404, "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found"}},
	{selector: "encryption", op: "GetBucketEncryption", none: answer{404, "ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found"}},
	{selector: "replication", op: "GetBucketReplication", none: answer{404, "ReplicationConfigurationNotFoundError", "The replication configuration was not found"}},
	{selector: "versioning", op: "GetBucketVersioning", root: "VersioningConfiguration"},
	{selector: "accelerate", op: "GetBucketAccelerateConfiguration", root: "AccelerateConfiguration"},
	{selector: "logging", op: "GetBucketLogging", root: "BucketLoggingStatus"},
	{selector: "notification", op: "GetBucketNotificationConfiguration", root: "NotificationConfiguration"},
	{
		selector: "requestPayment", op: "GetBucketRequestPayment", root: "RequestPaymentConfiguration",
		write: func(x *xmlDoc) { x.elem("Payer", "BucketOwner") },
	},
}

// settingReads are the rows of the table of operations for settings.
func settingReads() []operation {
	rows := make([]operation, len(settings))
	for i, s := range settings {
		rows[i] = operation{
			name: s.op, method: http.MethodGet, level: onBucket, selector: s.selector, act: actProbe,
			run: func(q *request) error { return q.getSetting(s) },
		}
	}
	return rows
}

// getSetting answers for a setting that nobody has made.
func (q *request) getSetting(s setting) error {
	if s.root == "" {
		return s.none.err("BucketName", q.bucket)
	}
	x := newXML()
	x.root(s.root)
	if s.write != nil {
		s.write(x)
	}
	x.close(s.root)
	return q.sendXML(x)
}

// getObjectTagging implements GetObjectTagging: no object has tags.
func (q *request) getObjectTagging() error {
	if _, err := q.s.store.Stat(q.r.Context(), q.bucket, q.key); err != nil {
		return err
	}
	x := newXML()
	x.root("Tagging")
	x.elem("TagSet", "")
	x.close("Tagging")
	return q.sendXML(x)
}

// getObjectLock implements GetObjectRetention and GetObjectLegalHold: no bucket has object lock.
func (q *request) getObjectLock() error {
	return invalidRequest.says("Bucket is missing Object Lock Configuration").err()
}
