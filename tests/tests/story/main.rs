//! The whole story of a finding, with real processes: seen, told, excepted, judged otherwise,
//! concluded, corrected, and all of it in the pack.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "tests run the real programs, and a missing member is null"
)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod site;
mod chapters;

use site::{FINDING, Site};

#[test]
fn a_finding_is_told_excepted_concluded_corrected_and_proven() {
    let mut site = Site::new();
    // The host was well first, so that what breaks is drift.
    let _well = site.look("debian12-good", "clock.utc", "pass");
    let seen = site.look("debian12-deviating", "clock.utc", "fail");
    let before = site.assess(&[]);
    let raised = site.told(FINDING, 1);
    assert_eq!(
        (raised[0].0.as_str(), raised[0].2),
        ("evident.notice.raised", 1)
    );
    chapters::drift_without_a_decision(&site);

    let until = chapters::an_exception_needs_two_people(&site);
    let resolved = site.told(FINDING, 2);
    assert_eq!(
        (resolved[1].0.as_str(), &resolved[1].1, resolved[1].2),
        ("evident.notice.resolved", &raised[0].1, 2)
    );
    chapters::who_should_be_there_is_laid_down(&site);
    site.kill();
    chapters::who_is_missing_is_told(&site);
    chapters::what_applies_is_approved(&site);
    chapters::a_document_counts_when_somebody_else_approved_it(&site);
    chapters::a_reviewer_concludes_beside_the_finding(&site);
    chapters::a_nonconformity_is_raised_from_the_evidence(&site, &seen);

    // The exception ends by itself, and the same finding is told anew, once.
    let again = site.told(FINDING, 3);
    assert_eq!(
        (again[2].0.as_str(), again[2].2),
        ("evident.notice.raised", 1)
    );
    assert_ne!(again[2].1, raised[0].1);
    chapters::the_finding_is_open_again(&site, &until);
    site.kill();
    chapters::another_catalogue_judges_from_now_on(&site);

    let _well = site.look("debian12-good", "clock.utc", "pass");
    let over = site.told(FINDING, 4);
    assert_eq!(
        (over[3].0.as_str(), &over[3].1, over[3].2),
        ("evident.notice.resolved", &again[2].1, 2)
    );
    chapters::the_past_is_as_it_was(&site, &before);
    chapters::all_of_it_is_in_the_pack(&mut site, &before);
    assert!(site.told.once(), "{:?}", site.told.words());
}
