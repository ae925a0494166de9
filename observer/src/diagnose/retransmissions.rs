use super::{Outcome, Rule, Window};
pub(super) const RULE: Rule = Rule { name: "retransmissions", about: "", check };
fn check(_window: &Window<'_>) -> Outcome {
    Outcome::Quiet
}
