//! Wrong usage: what was wrong, what would be right, exit code 2.

#[test]
fn usage() {
    trycmd::TestCases::new().case("tests/cli/usage/*.trycmd");
}
