//! AWS Query: parameters in the URL or in a form, answers in XML, or in JSON for who asks for it.
//! Source: facts sheet, 1.5 to 1.8.

pub mod answer;
mod form;
mod input;
mod members;
mod tree;

pub use form::Form;
