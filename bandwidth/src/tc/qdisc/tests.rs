use super::*;

fn read_back(tbf: Tbf) -> Option<Qdisc> {
    let attributes = [Nla::text(TCA_KIND, "tbf"), options(tbf)];
    let body = about(7, BUCKET, ROOT).body(&attributes).unwrap();
    let message = Message {
        kind: libc::RTM_NEWQDISC,
        sequence: 1,
        body,
    };
    decode(&message, 7)
}

#[test]
fn a_bucket_is_read_as_it_was_written() {
    for rate in [1, 1_000_000, u64::from(u32::MAX), 50_000_000_000] {
        let tbf = Tbf {
            rate,
            buffer: 1_562_500,
            limit: 125_000,
        };
        let qdisc = read_back(tbf).unwrap();
        assert_eq!((qdisc.kind.as_str(), qdisc.handle), ("tbf", BUCKET));
        assert_eq!(
            qdisc.bucket,
            Some(Bucket {
                tbf,
                peak: 0,
                count: Count::default()
            })
        );
    }
}

#[test]
fn truncated_options_are_no_bucket() {
    assert_eq!(bucket(&[12, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], false), None);
}
