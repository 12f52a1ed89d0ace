//! Properties of documents and of the evaluator.
